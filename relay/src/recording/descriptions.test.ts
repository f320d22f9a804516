import type { EpochStart } from '@proofcast/shared';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { HeldClock } from '../../testing/held-clock.ts';
import { RecordingDescriptions } from './descriptions.ts';

const epoch = (sourceName: string): EpochStart => ({
  mimeType: 'video/webm',
  startedAtUs: 0,
  sourceName,
  widthPx: 1,
  heightPx: 1,
  hasAudio: false,
});

function open() {
  const clock = new HeldClock();
  const written: [string, string][] = [];
  let failure: Error | null = null;
  const descriptions = new RecordingDescriptions({
    write: async (_, recordingId, { sourceName }) => {
      if (failure !== null) throw failure;
      written.push([recordingId, sourceName]);
    },
    clock,
    intervalMs: 1_000,
    log: pino({ level: 'silent' }),
  });
  return { clock, written, descriptions, fail: (error: Error | null) => (failure = error) };
}

test('[I17] the first epoch is described at once, those that follow together, the newest of them', () => {
  const { clock, written, descriptions } = open();
  for (const name of ['a', 'b', 'c', 'd']) descriptions.describe('s', 'r', epoch(name));
  descriptions.describe('s', 'other', epoch('x'));
  expect(written).toEqual([
    ['r', 'a'],
    ['other', 'x'],
  ]);
  clock.advance(1_000);
  expect(written.slice(2)).toEqual([['r', 'd']]);
  descriptions.describe('s', 'r', epoch('e'));
  expect(written.length).toBe(3);
  clock.advance(1_000);
  expect(written.slice(3)).toEqual([['r', 'e']]);
  clock.advance(10_000);
  descriptions.describe('s', 'r', epoch('f'));
  expect(written.slice(4)).toEqual([['r', 'f']]);
});

test('[I17] what is left is written when the relay shuts down, and nothing after', async () => {
  const { clock, written, descriptions } = open();
  descriptions.describe('s', 'r', epoch('a'));
  descriptions.describe('s', 'r', epoch('b'));
  await descriptions.close();
  await descriptions.close();
  expect(written).toEqual([
    ['r', 'a'],
    ['r', 'b'],
  ]);
  clock.advance(10_000);
  expect(written.length).toBe(2);
});

test('[I17] a database that refuses once does not end it', async () => {
  const { clock, written, descriptions, fail } = open();
  fail(new Error('locked'));
  descriptions.describe('s', 'r', epoch('a'));
  fail(null);
  descriptions.describe('s', 'r', epoch('b'));
  clock.advance(1_000);
  await descriptions.close();
  expect(written).toEqual([['r', 'b']]);
});
