/**
 * Who fetches recordings, manifests and exports: so many at a time, and none without taking bytes. Each holds a file
 * open, and one of a live recording its journal.
 */
import type { ServerResponse } from 'node:http';
import { CodedError, type Id } from '@proofcast/shared';
import type { MediaClock } from './media-clock.ts';
import { cutOffStalled } from './stalled-peer.ts';

export interface DownloadLimits {
  readonly maxDownloadsPerUser: number;
  readonly maxDownloadStallMs: number;
  readonly heartbeatIntervalMs: number;
}

export class Downloads {
  readonly #limits: DownloadLimits;
  readonly #clock: MediaClock;
  readonly #countByUser = new Map<Id, number>();

  constructor({ limits, clock }: { limits: DownloadLimits; clock: MediaClock }) {
    this.#limits = limits;
    this.#clock = clock;
  }

  /**
   * Counts `response` among those of the user until it is closed, and cuts it off when it stalls. Call it before
   * anything is opened for it. Throws `LIMIT_REACHED`.
   */
  begin(userId: Id, response: ServerResponse): void {
    const { maxDownloadsPerUser, maxDownloadStallMs: maxStallMs, heartbeatIntervalMs } = this.#limits;
    // Its client has left already, and nobody would say so again.
    if (response.closed) return;
    const count = this.#countByUser.get(userId) ?? 0;
    if (count >= maxDownloadsPerUser) {
      throw new CodedError(
        'LIMIT_REACHED',
        `Cannot answer: a user may fetch at most ${maxDownloadsPerUser} files at a time; wait for one.`,
      );
    }
    this.#countByUser.set(userId, count + 1);
    const limits = { maxStallMs, heartbeatIntervalMs };
    const stopStallCheck = cutOffStalled(response.req.socket, { clock: this.#clock, limits });
    response.once('close', () => {
      stopStallCheck();
      this.#forgetOne(userId);
    });
  }

  #forgetOne(userId: Id): void {
    const left = (this.#countByUser.get(userId) ?? 1) - 1;
    if (left > 0) this.#countByUser.set(userId, left);
    else this.#countByUser.delete(userId);
  }
}
