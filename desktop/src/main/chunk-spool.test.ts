import { CodedError, MAX_CHUNK_PAYLOAD_BYTES } from '@proofcast/shared';
import { appendFile, mkdir, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ChunkReader } from '../../testing/chunk-reader.ts';
import { EPOCH, KIB, newStart, SpoolWorld } from '../../testing/spool-world.ts';
import type { SpooledRecording } from './spooled-recording.ts';

let world: SpoolWorld;

beforeEach(async () => {
  world = await SpoolWorld.open();
});
afterEach(() => world.close());

const bytes = (length: number, fill = 7) => new Uint8Array(length).fill(fill);

async function appendSlices(recording: SpooledRecording, count: number, length = 4 * KIB): Promise<void> {
  for (let index = 0; index < count; index++) await recording.appendMedia(bytes(length, index), index);
}

async function readAll(recording: SpooledRecording): Promise<ChunkReader> {
  const reader = new ChunkReader(recording.start);
  for (let sequence = 0; sequence < recording.appendedCount; sequence++) {
    reader.read(await recording.readFrame(sequence));
  }
  return reader;
}

async function segmentsOf(recording: SpooledRecording): Promise<string[]> {
  return (await readdir(world.folderOf(recording))).filter((name) => name.endsWith('.spool')).toSorted();
}

describe('a spooled recording', () => {
  it('[C1] numbers, hashes and chains what it is given, in order', async () => {
    const recording = await world.record();
    const slices = [bytes(10, 1), bytes(20, 2), bytes(30, 3)];
    await Promise.all(slices.map((slice, index) => recording.appendMedia(slice, index)));
    const reader = await readAll(recording);
    expect(reader.chunks.map(({ kind }) => kind)).toEqual(['event', 'media', 'media', 'media']);
    expect(reader.media).toEqual(Buffer.concat(slices));
  });

  it('[I7] begins each epoch with its event, and counts epochs up by one', async () => {
    const recording = await world.record();
    await recording.appendMedia(bytes(10), 1);
    await recording.beginEpoch(EPOCH);
    await recording.appendMedia(bytes(10), 2);
    const { chunks } = await readAll(recording);
    expect(chunks.map(({ kind, epoch }) => [kind, epoch])).toEqual([
      ['event', 0],
      ['media', 0],
      ['event', 1],
      ['media', 1],
    ]);
    expect(JSON.parse(Buffer.from(chunks[0]!.payload).toString())).toEqual({
      type: 'epoch-started',
      data: EPOCH,
    });
  });

  it('[F3] sends a slice above 1 MiB as several chunks with the same capture time', async () => {
    await world.close();
    world = await SpoolWorld.open(8192 * KIB);
    const recording = await world.record();
    const slice = bytes(2 * MAX_CHUNK_PAYLOAD_BYTES + 5);
    await recording.appendMedia(slice, 42);
    const { chunks, media } = await readAll(recording);
    expect(chunks.slice(1).map(({ payload }) => payload.length)).toEqual([
      MAX_CHUNK_PAYLOAD_BYTES,
      MAX_CHUNK_PAYLOAD_BYTES,
      5,
    ]);
    expect(chunks.slice(1).every(({ captureTimeUs }) => captureTimeUs === 42)).toBe(true);
    expect(media).toEqual(Buffer.from(slice));
  });

  it('offers a chunk only when it is on the disk', async () => {
    const recording = await world.record();
    const counts: number[] = [];
    recording.subscribe(() => counts.push(recording.appendedCount));
    const appended = recording.appendMedia(bytes(100), 1);
    expect(recording.appendedCount).toBe(1);
    await appended;
    expect(recording.appendedCount).toBe(2);
    expect(counts).toEqual([2]);
    const file = await readFile(join(world.folderOf(recording), (await segmentsOf(recording))[0]!));
    expect(file.subarray(-100)).toEqual(Buffer.from(bytes(100)));
  });

  it('takes no media before its first epoch', async () => {
    const recording = await world.spool.create(newStart());
    await expect(recording.appendMedia(bytes(1), 1)).rejects.toMatchObject({ code: 'MESSAGE_UNEXPECTED' });
    await expect(recording.appendEvent({ type: 'capture-stalled', data: {} })).rejects.toMatchObject({
      code: 'MESSAGE_UNEXPECTED',
    });
  });

  it('takes nothing after its end, and keeps what came before', async () => {
    const recording = await world.record();
    const last = recording.appendMedia(bytes(10), 1);
    expect(await recording.finish()).toBe(2);
    await last;
    expect(await recording.finish()).toBe(2);
    expect(recording.chunkCount).toBe(2);
    await expect(recording.appendMedia(bytes(1), 1)).rejects.toMatchObject({ code: 'MESSAGE_UNEXPECTED' });
    await expect(recording.beginEpoch(EPOCH)).rejects.toMatchObject({ code: 'MESSAGE_UNEXPECTED' });
  });

  it('tells whoever appends why the relay wants no more', async () => {
    const recording = await world.record();
    recording.refuse(new CodedError('RECORDING_SEALED', 'It has ended.'));
    await expect(recording.appendMedia(bytes(1), 1)).rejects.toMatchObject({ code: 'RECORDING_SEALED' });
  });

  it('[I11] keeps what is not durable, and deletes segments when all in them is', async () => {
    const recording = await world.record();
    await appendSlices(recording, 12);
    const before = await segmentsOf(recording);
    expect(before.length).toBeGreaterThan(2);
    const used = world.spool.usedBytes;

    recording.acknowledge(3);
    await expect(recording.readFrame(2)).rejects.toMatchObject({ code: 'SPOOL_FAILED' });
    await recording.readFrame(3);
    expect(recording.durableCount).toBe(3);
    expect(recording.backlogBytes).toBe(10 * 4 * KIB);

    recording.acknowledge(2);
    expect(recording.durableCount).toBe(3);
    recording.acknowledge(1_000);
    expect(recording.durableCount).toBe(13);
    expect(recording.backlogBytes).toBe(0);
    expect(world.spool.usedBytes).toBeLessThan(used / 2);
    await recording.close();
    expect(await segmentsOf(recording)).toEqual(before.slice(-1));
  });

  it('is gone when it is removed, with its space', async () => {
    const recording = await world.record();
    await appendSlices(recording, 5);
    await recording.finish();
    await world.spool.remove(recording);
    expect(await readdir(world.directory)).toEqual([]);
    expect(world.spool.usedBytes).toBe(0);
    expect(world.spool.recordings).toEqual([]);
  });

  it('is refused with a coded error when its disk fails, and what is whole stays', async () => {
    const recording = await world.record();
    await appendSlices(recording, 4);
    await rm(world.folderOf(recording), { recursive: true });
    // The current segment is full, so the next chunk needs a new file in a folder that is gone.
    await expect(recording.appendMedia(bytes(4 * KIB), 1)).rejects.toMatchObject({ code: 'SPOOL_FAILED' });
    await expect(recording.appendMedia(bytes(1), 1)).rejects.toMatchObject({ code: 'SPOOL_FAILED' });
    expect(recording.appendedCount).toBe(5);
    await recording.readFrame(4);
  });
});

describe('the limit of the spool', () => {
  it('refuses a chunk with its numbers, and leaves no hole', async () => {
    await world.close();
    world = await SpoolWorld.open(40 * KIB);
    const recording = await world.record();
    await appendSlices(recording, 8);
    const count = recording.appendedCount;
    await expect(recording.appendMedia(bytes(20 * KIB), 1)).rejects.toMatchObject({
      code: 'SPOOL_FULL',
      details: { limitBytes: 40 * KIB },
    });
    expect(recording.appendedCount).toBe(count);

    recording.acknowledge(count);
    await recording.appendMedia(bytes(4 * KIB), 1);
    expect(recording.appendedCount).toBe(count + 1);
    expect(await recording.finish()).toBe(count + 1);
  });

  it('refuses a new recording when there is no room to speak of', async () => {
    await world.close();
    world = await SpoolWorld.open(20 * KIB);
    const recording = await world.record();
    await appendSlices(recording, 2);
    await expect(world.spool.create(newStart())).rejects.toMatchObject({ code: 'SPOOL_FULL' });
  });

  it('counts what earlier runs have left', async () => {
    const recording = await world.record();
    await appendSlices(recording, 5);
    const used = world.spool.usedBytes;
    await world.reopen();
    expect(world.spool.usedBytes).toBe(used);
  });
});

describe('after the app was killed', () => {
  it('all that was appended is found, and the recording has ended', async () => {
    const recording = await world.record();
    await appendSlices(recording, 12);
    const before = await readAll(recording);
    const [found] = await world.reopen();
    expect(found!.start).toEqual(recording.start);
    expect(found!.chunkCount).toBe(13);
    expect((await readAll(found!)).media).toEqual(before.media);
    await expect(found!.appendMedia(bytes(1), 1)).rejects.toMatchObject({ code: 'MESSAGE_UNEXPECTED' });
  });

  it('recordings are found in the order in which they began', async () => {
    for (const startedAtUs of [30, 10, 20]) await world.record({ startedAtUs });
    const found = await world.reopen();
    expect(found.map(({ start }) => start.startedAtUs)).toEqual([10, 20, 30]);
  });

  it.each([1, 31, 160, 4 * KIB])('a torn last chunk is cut, %d bytes of it being there', async (left) => {
    const recording = await world.record();
    await appendSlices(recording, 3);
    const path = join(world.folderOf(recording), (await segmentsOf(recording)).at(-1)!);
    const whole = await readFile(path);
    await truncate(path, whole.length - (4 * KIB + 160) + left);
    const [found] = await world.reopen();
    expect(found!.chunkCount).toBe(3);
    expect((await readAll(found!)).chunks).toHaveLength(3);
    // What was cut is cut for good.
    const [again] = await world.reopen();
    expect(again!.chunkCount).toBe(3);
  });

  it.each([
    ['zeros', Buffer.alloc(500)],
    ['noise', Buffer.from(Array.from({ length: 500 }, (_, index) => (index * 97) % 256))],
  ])('%s behind the last chunk are cut', async (_what, garbage) => {
    const recording = await world.record();
    await appendSlices(recording, 2);
    await appendFile(join(world.folderOf(recording), (await segmentsOf(recording)).at(-1)!), garbage);
    const [found] = await world.reopen();
    expect(found!.chunkCount).toBe(3);
  });

  it('a flipped bit ends the recording before it, in whichever segment', async () => {
    const recording = await world.record();
    await appendSlices(recording, 12);
    const names = await segmentsOf(recording);
    const path = join(world.folderOf(recording), names[1]!);
    const damaged = await readFile(path);
    damaged[200]! ^= 1;
    await writeFile(path, damaged);
    const [found] = await world.reopen();
    expect(found!.chunkCount).toBe(Number(/\d+/.exec(names[1]!)![0]));
    await readAll(found!);
  });

  it('what was durable and deleted is not missed', async () => {
    const recording = await world.record();
    await appendSlices(recording, 12);
    recording.acknowledge(11);
    await recording.close();
    const [found] = await world.reopen();
    expect(found!.chunkCount).toBe(13);
    const firstKept = Number(/\d+/.exec((await segmentsOf(found!))[0]!)![0]);
    expect(firstKept).toBeGreaterThan(0);
    expect(found!.durableCount).toBe(firstKept);
    await found!.readFrame(12);
  });

  it('a recording without a chunk is forgotten', async () => {
    await world.spool.create(newStart());
    expect(await world.reopen()).toEqual([]);
    expect(await readdir(world.directory)).toEqual([]);
    expect(world.spool.usedBytes).toBe(0);
  });

  it('a folder that says nothing is left alone and hinders nobody', async () => {
    await mkdir(join(world.directory, 'stray'));
    await writeFile(join(world.directory, 'stray', 'chunks-000000000000.spool'), 'x');
    await world.record();
    expect(await world.reopen()).toHaveLength(1);
    expect(await readdir(world.directory)).toContain('stray');
  });
});

describe('the spool after it was closed', () => {
  it('takes nothing, and closing again is harmless', async () => {
    const recording = await world.record();
    await world.spool.close();
    await world.spool.close();
    await expect(recording.appendMedia(bytes(1), 1)).rejects.toMatchObject({ code: 'MESSAGE_UNEXPECTED' });
    expect(world.spool.usedBytes).toBe(0);
  });
});
