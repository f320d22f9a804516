import { beforeEach, expect, it } from 'vitest';
import { HeldClock } from '../testing/held-clock.ts';
import { REACHABILITY_PROBE_MS } from './config.ts';
import { Reachability } from './reachability.ts';

let clock: HeldClock;
let probes: number;
let isUp: boolean;
let reachability: Reachability;

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

beforeEach(() => {
  clock = new HeldClock();
  probes = 0;
  isUp = false;
  reachability = new Reachability({
    fetch: () => {
      probes += 1;
      return isUp
        ? Promise.resolve(Response.json({ status: 'ok' }))
        : Promise.reject(new TypeError('failed'));
    },
    schedule: clock.schedule,
  });
});

it('asks by itself until the server is back, and not after that', async () => {
  reachability.note(false);
  reachability.note(false);
  expect(reachability.state.value.kind).toBe('unreachable');
  clock.advance(REACHABILITY_PROBE_MS);
  await settle();
  expect(probes).toBe(1);
  isUp = true;
  clock.advance(REACHABILITY_PROBE_MS);
  await settle();
  expect(probes).toBe(2);
  expect(reachability.state.value).toEqual({ kind: 'reachable' });
  expect(clock.pendingCount).toBe(0);
});

it('believes any request that gets through', () => {
  reachability.note(false);
  reachability.note(true);
  expect(reachability.state.value.kind).toBe('reachable');
  clock.advance(60_000);
  expect(probes).toBe(0);
});

it('remembers since when the server is away', () => {
  reachability.note(false);
  const before = reachability.state.value;
  reachability.note(false);
  expect(reachability.state.value).toBe(before);
});

it('asks no more after close', () => {
  reachability.note(false);
  reachability.close();
  clock.advance(60_000);
  expect(probes).toBe(0);
});
