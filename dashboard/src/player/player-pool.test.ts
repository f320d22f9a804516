import { beforeEach, expect, it } from 'vitest';
import { HeldClock } from '../../testing/held-clock.ts';
import { PLAYER_LINGER_MS } from '../config.ts';
import { PlayerPool } from './player-pool.ts';

class CountedPlayer {
  isClosed = false;
  close(): void {
    this.isClosed = true;
  }
}

let clock: HeldClock;
let created: CountedPlayer[];
let pool: PlayerPool<CountedPlayer>;

beforeEach(() => {
  clock = new HeldClock();
  created = [];
  pool = new PlayerPool({
    create: () => {
      const player = new CountedPlayer();
      created.push(player);
      return player;
    },
    schedule: clock.schedule,
  });
});

it('gives the same player to everybody who asks for the same stream', () => {
  expect(pool.acquire('a')).toBe(pool.acquire('a'));
  expect(pool.acquire('b')).not.toBe(pool.acquire('a'));
});

it('keeps a player for the next view that comes soon', () => {
  const player = pool.acquire('a');
  pool.release('a');
  clock.advance(PLAYER_LINGER_MS - 1);
  expect(pool.acquire('a')).toBe(player);
  clock.advance(PLAYER_LINGER_MS * 2);
  expect(player.isClosed).toBe(false);
});

it('closes a player that nobody came for, and makes a new one after that', () => {
  const player = pool.acquire('a');
  pool.release('a');
  clock.advance(PLAYER_LINGER_MS);
  expect(player.isClosed).toBe(true);
  expect(pool.all()).toEqual([]);
  expect(pool.acquire('a')).not.toBe(player);
});

it('keeps a player that one of two users still has', () => {
  const player = pool.acquire('a');
  pool.acquire('a');
  pool.release('a');
  clock.advance(PLAYER_LINGER_MS * 2);
  expect(player.isClosed).toBe(false);
});

it('closes all on close, and what is released after that is nobody’s', () => {
  pool.acquire('a');
  pool.acquire('b');
  pool.release('b');
  pool.close();
  pool.close();
  pool.release('a');
  expect(created.every((player) => player.isClosed)).toBe(true);
  expect(clock.pendingCount).toBe(0);
});
