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
  /** By hash of the ticket. All live equally long, so the order of insertion is the order of expiry. */
  readonly #outstanding = new Map<string, { sessionHash: string; expiresAtMs: number }>();

  constructor({ clock, limits }: { clock: Clock; limits: TicketLimits }) {
    this.#clock = clock;
    this.#limits = limits;
  }

  issue(sessionHash: string): { ticket: string; expiresAtMs: number } {
    this.#forgetExpired();
    const ofSession = [...this.#outstanding].filter(([, ticket]) => ticket.sessionHash === sessionHash);
    const [oldest] = ofSession[0] ?? [];
    if (oldest && ofSession.length >= this.#limits.maxTicketsPerSession) this.#outstanding.delete(oldest);
    const ticket = createSecret();
    const expiresAtMs = this.#clock.nowMs() + this.#limits.ticketLifetimeMs;
    this.#outstanding.set(hashSecret(ticket), { sessionHash, expiresAtMs });
    return { ticket, expiresAtMs };
  }

  /** The hash of the session that the ticket stands for; the ticket is used up. Throws `TICKET_INVALID`. */
  redeem(ticket: string): string {
    const ticketHash = hashSecret(ticket);
    const found = this.#outstanding.get(ticketHash);
    this.#outstanding.delete(ticketHash);
    if (!found || found.expiresAtMs <= this.#clock.nowMs()) {
      throw new CodedError('TICKET_INVALID', 'The ticket is unknown, used or expired; fetch a new one.');
    }
    return found.sessionHash;
  }

  #forgetExpired(): void {
    const nowMs = this.#clock.nowMs();
    for (const [ticketHash, { expiresAtMs }] of this.#outstanding) {
      if (expiresAtMs > nowMs) return;
      this.#outstanding.delete(ticketHash);
    }
  }
}
