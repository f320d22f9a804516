import { describe, expect, it } from 'vitest';
import { HeldClock } from '../../testing/held-clock.ts';
import { Tickets } from './tickets.ts';

const LIMITS = { ticketLifetimeMs: 30_000, maxTicketsPerSession: 2 };
const invalid = expect.objectContaining({ code: 'TICKET_INVALID' });

function createTickets() {
  const clock = new HeldClock();
  return { clock, tickets: new Tickets({ clock, limits: LIMITS }) };
}

describe('Tickets', () => {
  it('[V1] stand for their session once', () => {
    const { tickets } = createTickets();
    const { ticket } = tickets.issue('session');
    expect(tickets.redeem(ticket)).toBe('session');
    expect(() => tickets.redeem(ticket)).toThrow(invalid);
    expect(() => tickets.redeem('made up')).toThrow(invalid);
  });

  it('[V1] are worth nothing after 30 s', () => {
    const { clock, tickets } = createTickets();
    const { ticket, expiresAtMs } = tickets.issue('session');
    const { ticket: later } = tickets.issue('session');
    clock.advance(29_999);
    expect(tickets.redeem(later)).toBe('session');
    clock.advance(1);
    expect(clock.nowMs()).toBe(expiresAtMs);
    expect(() => tickets.redeem(ticket)).toThrow(invalid);
  });

  it('pile up for no session: one more makes the oldest invalid, and those of others stay', () => {
    const { tickets } = createTickets();
    const other = tickets.issue('other session').ticket;
    const [first, second, third] = [1, 2, 3].map(() => tickets.issue('session').ticket);
    expect(() => tickets.redeem(first ?? '')).toThrow(invalid);
    expect(tickets.redeem(second ?? '')).toBe('session');
    expect(tickets.redeem(third ?? '')).toBe('session');
    expect(tickets.redeem(other)).toBe('other session');
  });
});
