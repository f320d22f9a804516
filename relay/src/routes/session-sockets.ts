import type { ServerResponse } from 'node:http';
import { CodedError, toCloseReason, type Schedule } from '@proofcast/shared';
import type { WebSocket } from 'ws';
import type { Clock } from '../clock.ts';
import type { Session } from '../identity/sessions.ts';

type Close = (reason: CodedError) => void;

/** Websockets and endless responses that live on a session: when it ends or expires, they are closed. */
export class SessionSockets {
  readonly #clock: Clock & { readonly schedule: Schedule };
  readonly #bySession = new Map<string, Set<Close>>();

  constructor({ clock }: { clock: Clock & { readonly schedule: Schedule } }) {
    this.#clock = clock;
  }

  /** Binds the socket to the session until one of them ends. */
  add(session: Session, socket: WebSocket): void {
    const forget = this.#bind(session, (reason) => socket.close(reason.closeCode, toCloseReason(reason)));
    socket.once('close', forget);
  }

  /** The same for a response, which `link` ends. */
  addResponse(session: Session, response: ServerResponse, link: { close: Close }): void {
    const forget = this.#bind(session, (reason) => link.close(reason));
    if (response.closed) forget();
    else response.once('close', forget);
  }

  /** Closes everything of the session. */
  closeAll(sessionHash: string, reason: CodedError): void {
    for (const close of this.#bySession.get(sessionHash) ?? []) close(reason);
  }

  /** Returns what to call when the connection has ended by itself. */
  #bind({ sessionHash, expiresAtMs }: Session, close: Close): () => void {
    const closers = this.#bySession.get(sessionHash) ?? new Set();
    this.#bySession.set(sessionHash, closers.add(close));
    const cancelExpiry = this.#clock.schedule(
      () => close(new CodedError('UNAUTHENTICATED', 'The session has expired; sign in again.')),
      Math.max(0, expiresAtMs - this.#clock.nowMs()),
    );
    return () => {
      cancelExpiry();
      closers.delete(close);
      if (closers.size === 0) this.#bySession.delete(sessionHash);
    };
  }
}
