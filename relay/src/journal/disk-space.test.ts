import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { HeldClock } from '../../testing/held-clock.ts';
import { LogCapture } from '../../testing/log-capture.ts';
import { DiskSpace } from './disk-space.ts';

const LIMITS = {
  warnFreeBytes: 5_000,
  minFreeBytes: 1_000,
  freeSpaceHysteresis: 0.1,
  freeSpaceIntervalMs: 10_000,
};

const opened: DiskSpace[] = [];
afterEach(() => {
  for (const space of opened.splice(0)) space.close();
});

async function openSpace(freeBytes: number) {
  const disk = { freeBytes, isAnswering: true };
  const clock = new HeldClock();
  const log = new LogCapture();
  const space = await DiskSpace.open({
    path: tmpdir(),
    limits: LIMITS,
    clock,
    log: log.logger,
    freeBytesOf: async () => {
      if (!disk.isAnswering) throw new Error('EIO');
      return disk.freeBytes;
    },
  });
  opened.push(space);
  /** The disk changes, and the relay looks at it in its own time. */
  const become = async (bytes: number) => {
    disk.freeBytes = bytes;
    clock.advance(LIMITS.freeSpaceIntervalMs);
    await setImmediate();
    return space.state;
  };
  return { space, disk, clock, log, become };
}

describe('the space of the data disk', () => {
  it('[O5] makes the disk low, then full, and each change is one line with the numbers', async () => {
    const { space, log, become } = await openSpace(5_000);
    expect([space.state, space.warning]).toEqual(['ok', null]);
    expect(await become(4_999)).toBe('low');
    expect(space.warning).toContain('4999 bytes free');
    expect(await become(1_000)).toBe('low');
    expect(await become(999)).toBe('full');
    expect(space.warning).toContain('new recordings are refused');
    expect(await become(998)).toBe('full');
    expect(log.lines).toEqual([
      expect.objectContaining({ level: 40, state: 'low', before: 'ok', freeBytes: 4_999 }),
      expect.objectContaining({ level: 50, state: 'full', before: 'low', freeBytes: 999 }),
    ]);
  });

  it('[O5] leaves a state only with a tenth more than its limit, so that it does not flap', async () => {
    const { space, log, become } = await openSpace(999);
    expect(space.state).toBe('full');
    for (const bytes of [1_000, 999, 1_099, 1_000]) expect(await become(bytes)).toBe('full');
    expect(await become(1_100)).toBe('low');
    for (const bytes of [5_000, 4_999, 5_499]) expect(await become(bytes)).toBe('low');
    expect(await become(5_500)).toBe('ok');
    expect(await become(5_000)).toBe('ok');
    expect(log.lines.map((line) => line['state'])).toEqual(['full', 'low', 'ok']);
    expect(await become(0)).toBe('full');
    expect(await become(1_000_000)).toBe('ok');
  });

  it('[J7] refuses a recording by what is free at that moment, and allows it again when there is clearly more', async () => {
    const { space, disk } = await openSpace(10_000);
    await space.checkRoomForRecording();
    disk.freeBytes = 999;
    await expect(space.checkRoomForRecording()).rejects.toMatchObject({ code: 'STORAGE_FULL' });
    disk.freeBytes = 1_050;
    await expect(space.checkRoomForRecording()).rejects.toMatchObject({ code: 'STORAGE_FULL' });
    disk.freeBytes = 1_100;
    await space.checkRoomForRecording();
  });

  it('[O5] counts a disk that does not answer as full, until it answers', async () => {
    const { space, disk, become } = await openSpace(10_000);
    disk.isAnswering = false;
    expect(await become(10_000)).toBe('full');
    await expect(space.checkRoomForRecording()).rejects.toMatchObject({ code: 'STORAGE_FULL' });
    disk.isAnswering = true;
    expect(await become(10_000)).toBe('ok');
    expect(space.freeBytes).toBe(10_000);
  });

  it('asks the disk itself, and says when there is none', async () => {
    const options = { limits: LIMITS, clock: new HeldClock(), log: new LogCapture().logger };
    const space = await DiskSpace.open({ ...options, path: tmpdir() });
    opened.push(space);
    expect(space.freeBytes).toBeGreaterThan(0);
    const missing = DiskSpace.open({ ...options, path: join(tmpdir(), 'proofcast-no-such-folder') });
    await expect(missing).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('does not look any more once it is closed', async () => {
    const { space, become } = await openSpace(10_000);
    space.close();
    space.close();
    expect(await become(0)).toBe('ok');
  });
});
