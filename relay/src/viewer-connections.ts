/** Everybody who watches through the relay at the moment, by websocket or by HTTP, and how many of them one user may be. */
import { CodedError, type Id } from '@proofcast/shared';
import type { Carrier } from './metrics/media-counts.ts';

/** One websocket of a viewer, or one HTTP body. */
export interface ViewerLink {
  readonly userId: Id;
  readonly carrier: Carrier;
  /** Ends it with a coded reason. Idempotent. */
  close(error: CodedError): void;
}

export class ViewerConnections {
  readonly #maxPerUser: number;
  readonly #links = new Set<ViewerLink>();
  readonly #countByUser = new Map<Id, number>();

  constructor({ maxPerUser }: { maxPerUser: number }) {
    this.#maxPerUser = maxPerUser;
  }

  get size(): number {
    return this.#links.size;
  }

  countBy(carrier: Carrier): number {
    let count = 0;
    for (const link of this.#links) if (link.carrier === carrier) count += 1;
    return count;
  }

  /** Throws `LIMIT_REACHED` when the user has as many connections as one may have. */
  checkRoomFor(userId: Id): void {
    if (this.#countOf(userId) < this.#maxPerUser) return;
    throw new CodedError(
      'LIMIT_REACHED',
      `Cannot open another connection: a user has at most ${this.#maxPerUser}; close one.`,
    );
  }

  add(link: ViewerLink): void {
    this.#links.add(link);
    this.#countByUser.set(link.userId, this.#countOf(link.userId) + 1);
  }

  /** Idempotent. */
  remove(link: ViewerLink): void {
    if (!this.#links.delete(link)) return;
    const left = this.#countOf(link.userId) - 1;
    if (left > 0) this.#countByUser.set(link.userId, left);
    else this.#countByUser.delete(link.userId);
  }

  closeUser(userId: Id, error: CodedError): void {
    for (const link of this.#links) if (link.userId === userId) link.close(error);
  }

  closeAll(error: CodedError): void {
    for (const link of this.#links) link.close(error);
  }

  #countOf(userId: Id): number {
    return this.#countByUser.get(userId) ?? 0;
  }
}
