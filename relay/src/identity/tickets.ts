import { CodedError } from '@proofcast/shared';
import type { Clock } from '../clock.ts';
import { createSecret, hashSecret } from './secrets.ts';

export interface TicketLimits {
  readonly ticketLifetimeMs: number;
  /** Tickets of one session that may be outstanding; one more makes the oldest invalid. */
  readonly maxTicketsPerSession: number;
}

/**
 * One-time tickets for the view socket, because a browser cannot set headers on a websocket and a URL is no place for
 * anything that lasts. A ticket stands for a session, hence for a user and a company. They live in memory: after a
 * restart a client fetches a new one.
 */
export class Tickets {
  readonly #clock: Clock;
  readonly #limits: TicketLimits;
  /** By session, its outstanding tickets from old to new: hash of the ticket → when it expires. */
  readonly #bySession = new Map<string, Map<string, number>>();
  readonly #sessionByTicket = new Map<string, string>();

  constructor({ clock, limits }: { clock: Clock; limits: TicketLimits }) {
    this.#clock = clock;
    this.#limits = limits;
  }

  issue(sessionHash: string): { ticket: string; expiresAtMs: number } {
    this.#forgetExpired();
    const ticket = createSecret();
    const ticketHash = hashSecret(ticket);
    const expiresAtMs = this.#clock.nowMs() + this.#limits.ticketLifetimeMs;
    const outstanding = this.#bySession.get(sessionHash) ?? new Map<string, number>();
    this.#bySession.set(sessionHash, outstanding.set(ticketHash, expiresAtMs));
    this.#sessionByTicket.set(ticketHash, sessionHash);
    const [oldest] = outstanding.keys();
    if (oldest && outstanding.size > this.#limits.maxTicketsPerSession) this.#forget(oldest);
    return { ticket, expiresAtMs };
  }

  /** The hash of the session that the ticket stands for; the ticket is used up. Throws `TICKET_INVALID`. */
  redeem(ticket: string): string {
    const ticketHash = hashSecret(ticket);
    const sessionHash = this.#sessionByTicket.get(ticketHash);
    const expiresAtMs = sessionHash && this.#bySession.get(sessionHash)?.get(ticketHash);
    this.#forget(ticketHash);
    if (!sessionHash || !expiresAtMs || expiresAtMs <= this.#clock.nowMs()) {
      throw new CodedError('TICKET_INVALID', 'The ticket is unknown, used or expired; fetch a new one.');
    }
    return sessionHash;
  }

  #forgetExpired(): void {
    const nowMs = this.#clock.nowMs();
    for (const outstanding of this.#bySession.values()) {
      for (const [ticketHash, expiresAtMs] of outstanding) {
        if (expiresAtMs <= nowMs) this.#forget(ticketHash);
      }
    }
  }

  #forget(ticketHash: string): void {
    const sessionHash = this.#sessionByTicket.get(ticketHash);
    if (!sessionHash) return;
    this.#sessionByTicket.delete(ticketHash);
    const outstanding = this.#bySession.get(sessionHash);
    outstanding?.delete(ticketHash);
    if (outstanding?.size === 0) this.#bySession.delete(sessionHash);
  }
}
