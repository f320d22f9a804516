import { CodedError, toCloseReason, type Schedule } from '@proofcast/shared';
import type { WebSocket } from 'ws';
import type { Clock } from '../clock.ts';
import type { Session } from '../identity/sessions.ts';

/** Websockets that live on a session: when it ends or expires, they are closed. */
export class SessionSockets {
  readonly #clock: Clock & { readonly schedule: Schedule };
  readonly #bySession = new Map<string, Set<WebSocket>>();

  constructor({ clock }: { clock: Clock & { readonly schedule: Schedule } }) {
    this.#clock = clock;
  }

  /** Binds the socket to the session until one of them ends. */
  add({ sessionHash, expiresAtMs }: Session, socket: WebSocket): void {
    const sockets = this.#bySession.get(sessionHash) ?? new Set();
    this.#bySession.set(sessionHash, sockets.add(socket));
    const cancelExpiry = this.#clock.schedule(
      () =>
        closeBecause(new CodedError('UNAUTHENTICATED', 'The session has expired; sign in again.'), socket),
      Math.max(0, expiresAtMs - this.#clock.nowMs()),
    );
    socket.once('close', () => {
      cancelExpiry();
      sockets.delete(socket);
      if (sockets.size === 0) this.#bySession.delete(sessionHash);
    });
  }

  /** Closes every socket of the session. */
  closeAll(sessionHash: string, reason: CodedError): void {
    for (const socket of this.#bySession.get(sessionHash) ?? []) closeBecause(reason, socket);
  }
}

function closeBecause(reason: CodedError, socket: WebSocket): void {
  socket.close(reason.closeCode, toCloseReason(reason));
}
