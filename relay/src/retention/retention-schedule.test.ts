import { setImmediate } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { HeldClock } from '../../testing/held-clock.ts';
import { LogCapture } from '../../testing/log-capture.ts';
import { RetentionSchedule } from './retention-schedule.ts';

const HOUR_MS = 3_600_000;

function open() {
  const clock = new HeldClock();
  const log = new LogCapture();
  const sweeps: PromiseWithResolvers<void>[] = [];
  const retention = {
    sweep() {
      const sweep = Promise.withResolvers<void>();
      sweeps.push(sweep);
      return sweep.promise;
    },
  };
  const schedule = new RetentionSchedule({ retention, clock, intervalMs: HOUR_MS, log: log.logger });
  schedule.begin();
  const advance = async (ms: number) => {
    clock.advance(ms);
    await setImmediate();
  };
  /** The sweep that runs comes to its end. */
  const end = async (error?: Error) => {
    if (error) sweeps.at(-1)?.reject(error);
    else sweeps.at(-1)?.resolve();
    await setImmediate();
  };
  return { clock, log, sweeps, schedule, advance, end };
}

it('[K3] sweeps at once, and then an hour after the end of the sweep before', async () => {
  const { clock, sweeps, schedule, advance, end } = open();
  expect(sweeps).toHaveLength(1);
  expect(schedule.sweptAtMs).toBeNull();
  await advance(5 * HOUR_MS);
  // One after the other, however long one takes.
  expect(sweeps).toHaveLength(1);
  await end();
  expect(schedule.sweptAtMs).toBe(clock.nowMs());
  await advance(HOUR_MS - 1);
  expect(sweeps).toHaveLength(1);
  await advance(1);
  expect(sweeps).toHaveLength(2);
  await end();
  await schedule.close();
});

it('[K4] comes again after a sweep that failed, which is logged', async () => {
  const { log, sweeps, schedule, advance, end } = open();
  await end(new Error('The database does not answer.'));
  expect(log.text).toContain('The database does not answer.');
  expect(schedule.sweptAtMs).toBeNull();
  await advance(HOUR_MS);
  expect(sweeps).toHaveLength(2);
  await end();
  expect(schedule.sweptAtMs).not.toBeNull();
  await schedule.close();
});

it('waits, when it is closed, for the sweep that runs, and begins no other', async () => {
  const { sweeps, schedule, advance, end } = open();
  let isClosed = false;
  const closing = schedule.close().then(() => {
    isClosed = true;
  });
  await setImmediate();
  expect(isClosed).toBe(false);
  await end();
  await closing;
  await schedule.close();
  await advance(2 * HOUR_MS);
  expect(sweeps).toHaveLength(1);
});
