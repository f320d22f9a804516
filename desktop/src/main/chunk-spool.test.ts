import { CodedError, MAX_CHUNK_PAYLOAD_BYTES } from '@proofcast/shared';
import { appendFile, mkdir, open, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { ChunkReader } from '../../testing/chunk-reader.ts';
import { EPOCH, KIB, newStart, SOURCE, SpoolWorld } from '../../testing/spool-world.ts';
import { maySmallDiskBeMounted, mountSmallDisk, type SmallDisk } from '../../testing/small-disk.ts';
import { segmentName } from './spool-recovery.ts';
import { SpoolSegment } from './spool-segment.ts';
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
      ['event', 0],
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
    const recording = await world.spool.create(newStart(), SOURCE);
    await expect(recording.appendMedia(bytes(1), 1)).rejects.toMatchObject({ code: 'MESSAGE_UNEXPECTED' });
    await expect(recording.appendEvent({ type: 'capture-stalled', data: {} })).rejects.toMatchObject({
      code: 'MESSAGE_UNEXPECTED',
    });
  });

  it('takes nothing after its end, and keeps what came before', async () => {
    const recording = await world.record();
    const last = recording.appendMedia(bytes(10), 1);
    expect(await recording.finish()).toBe(3);
    await last;
    expect(await recording.finish()).toBe(3);
    expect(recording.chunkCount).toBe(3);
    expect((await readAll(recording)).outline).toEqual(['epoch-started', 'media', 'epoch-ended: stopped']);
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
    const used = world.spool.space.usedBytes;

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
    await expect.poll(() => world.spool.space.usedBytes).toBeLessThan(used / 2);
    await recording.close();
    expect(await segmentsOf(recording)).toEqual(before.slice(-1));
  });

  it('is gone when it is removed, with its space', async () => {
    const recording = await world.record();
    await appendSlices(recording, 5);
    await recording.finish();
    await world.spool.remove(recording);
    expect(await readdir(world.directory)).toEqual(['ballast']);
    expect(world.spool.space.usedBytes).toBe(0);
    expect(world.spool.recordings).toEqual([]);
  });

  it('[U2] writes once why an epoch has ended, and takes no media until the next one', async () => {
    const recording = await world.record();
    await recording.appendMedia(bytes(10), 1);
    await recording.endEpoch('source-ended');
    await recording.endEpoch('stopped');
    expect(recording.isEpochOpen).toBe(false);
    await expect(recording.appendMedia(bytes(10), 2)).rejects.toMatchObject({ code: 'MESSAGE_UNEXPECTED' });
    await recording.beginEpoch(EPOCH);
    await recording.appendMedia(bytes(10), 3);
    await recording.finish();
    expect((await readAll(recording)).outline).toEqual([
      'epoch-started',
      'media',
      'epoch-ended: source-ended',
      'epoch-started',
      'media',
      'epoch-ended: stopped',
    ]);
  });

  it('[U2] ends an epoch that is just being begun when the page dies in that moment', async () => {
    const recording = await world.spool.create(newStart(), SOURCE);
    const begun = recording.beginEpoch(EPOCH);
    await recording.endEpoch('page-crashed');
    await begun;
    expect((await readAll(recording)).outline).toEqual(['epoch-started', 'epoch-ended: page-crashed']);
  });
});

describe('a disk that fails', () => {
  /** The next calls of `datasync` on any file fail with EIO. */
  async function failSyncs(times: number): Promise<void> {
    const file = await open(world.directory, 'r');
    const sync = vi.spyOn(Object.getPrototypeOf(file) as typeof file, 'datasync');
    await file.close();
    const error = Object.assign(new Error('EIO: told to fail'), { code: 'EIO' });
    for (let time = 0; time < times; time++) sync.mockRejectedValueOnce(error);
  }
  afterEach(() => vi.restoreAllMocks());

  it('in one file loses nothing: the same chunks go to another one, and after a crash they are found once', async () => {
    const recording = await world.record();
    await appendSlices(recording, 2);
    await failSyncs(1);
    await recording.appendMedia(bytes(4 * KIB, 2), 2);
    await recording.appendMedia(bytes(4 * KIB, 3), 3);
    expect(await segmentsOf(recording)).toHaveLength(2);
    expect((await readAll(recording)).chunks).toHaveLength(5);
    const [found] = await world.reopen();
    expect((await readAll(found!)).outline).toEqual([
      'epoch-started',
      ...Array<string>(4).fill('media'),
      'epoch-ended: app-crashed',
    ]);
  });

  it('whose failed file kept what it was given is believed no further than its successor says', async () => {
    const recording = await world.record();
    await appendSlices(recording, 2);
    vi.spyOn(SpoolSegment.prototype, 'cutTail').mockResolvedValue();
    await failSyncs(1);
    await recording.appendMedia(bytes(4 * KIB, 2), 2);
    const [found] = await world.reopen();
    const reader = await readAll(found!);
    expect(reader.outline).toHaveLength(5);
    expect(reader.media).toEqual(Buffer.concat([0, 1, 2].map((fill) => bytes(4 * KIB, fill))));
  });

  it('that does not delete a file it has failed to write does not keep the next one from its place', async () => {
    const recording = await world.record();
    await appendSlices(recording, 4);
    // The next chunk needs a new file, and neither the chunk nor the end of the epoch gets into it.
    vi.spyOn(SpoolSegment.prototype, 'remove').mockRejectedValueOnce(new Error('EIO: told to fail'));
    const fail = vi.spyOn(SpoolSegment.prototype, 'append');
    fail.mockRejectedValueOnce(new Error('EIO: told to fail'));
    await recording.appendMedia(bytes(4 * KIB, 4), 4);
    expect((await readAll(recording)).outline).toEqual(['epoch-started', ...Array<string>(5).fill('media')]);
    const [found] = await world.reopen();
    expect((await readAll(found!)).outline).toHaveLength(7);
  });

  it('[U4] altogether ends the epoch with a code and not the recording, which goes on when the disk works', async () => {
    const recording = await world.record();
    await appendSlices(recording, 2);
    await failSyncs(4);
    await expect(recording.appendMedia(bytes(10), 3)).rejects.toMatchObject({ code: 'SPOOL_FAILED' });
    await expect(recording.appendMedia(bytes(10), 4)).rejects.toMatchObject({ code: 'SPOOL_FAILED' });
    expect(recording.appendedCount).toBe(3);
    await recording.beginEpoch(EPOCH);
    await recording.appendMedia(bytes(10), 5);
    expect((await readAll(recording)).outline).toEqual([
      'epoch-started',
      'media',
      'media',
      'epoch-ended: recorder-failed',
      'epoch-started',
      'media',
    ]);
  });

  it('is told with a coded error, and what is whole stays', async () => {
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
  it('[U4] ends the epoch with its reason, in room kept for that, and lets the next one begin when there is room', async () => {
    await world.close();
    world = await SpoolWorld.open(64 * KIB);
    const recording = await world.record();
    const { space } = world.spool;
    await appendSlices(recording, 14);
    const count = recording.appendedCount;
    await expect(recording.appendMedia(bytes(20 * KIB), 1)).rejects.toMatchObject({
      code: 'SPOOL_FULL',
      details: { limitBytes: 64 * KIB },
    });
    expect(space.isFull).toBe(true);
    // Chunks that would fit leave a hole behind those that did not.
    await expect(recording.appendMedia(bytes(1), 1)).rejects.toMatchObject({ code: 'MESSAGE_UNEXPECTED' });
    await expect(recording.beginEpoch(EPOCH)).rejects.toMatchObject({ code: 'SPOOL_FULL' });
    expect(recording.appendedCount).toBe(count + 2);
    expect(space.usedBytes).toBeLessThanOrEqual(64 * KIB);
    const told = (await readAll(recording)).outline.slice(-2);
    expect(told).toEqual(['spool-full', 'epoch-ended: spool-full']);

    recording.acknowledge(count + 2);
    await expect.poll(() => space.isFull).toBe(false);
    await recording.beginEpoch(EPOCH);
    await recording.appendMedia(bytes(4 * KIB), 1);
    expect(await recording.finish()).toBe(count + 5);
  });

  it('refuses a new recording when there is no room to speak of', async () => {
    await world.close();
    world = await SpoolWorld.open(24 * KIB);
    const recording = await world.record();
    await appendSlices(recording, 2);
    await expect(world.spool.create(newStart(), SOURCE)).rejects.toMatchObject({ code: 'SPOOL_FULL' });
  });

  it('counts what earlier runs have left', async () => {
    const recording = await world.record();
    await appendSlices(recording, 5);
    await recording.finish();
    const used = world.spool.space.usedBytes;
    await world.reopen();
    expect(world.spool.space.usedBytes).toBe(used);
  });
});

const mayMount = await maySmallDiskBeMounted();

describe.skipIf(!mayMount)(`a disk without room${mayMount ? '' : ' (this user may not mount one)'}`, () => {
  let disk: SmallDisk;
  beforeAll(async () => {
    disk = await mountSmallDisk(256 * KIB);
  });
  afterAll(() => disk.close());

  it('[U4] is told in the recording, which goes on as soon as chunks have left', async () => {
    await world.close();
    world = await SpoolWorld.open(64 * 1024 * KIB, join(disk.path, 'spool'));
    const recording = await world.record();
    const fill = async () => {
      for (let index = 0; ; index++) await recording.appendMedia(bytes(4 * KIB), index);
    };
    const refusal: unknown = await fill().catch((error: unknown) => error);
    expect(refusal).toMatchObject({ code: 'SPOOL_FULL', message: expect.stringContaining('disk') });
    expect(world.spool.space.isFull).toBe(true);
    await expect(recording.beginEpoch(EPOCH)).rejects.toMatchObject({ code: 'SPOOL_FULL' });
    const before = recording.appendedCount;
    expect((await readAll(recording)).outline.slice(-3)).toEqual([
      'media',
      'spool-full',
      'epoch-ended: spool-full',
    ]);

    recording.acknowledge(before);
    await expect.poll(() => world.spool.space.isFull).toBe(false);
    await recording.beginEpoch(EPOCH);
    await recording.appendMedia(bytes(4 * KIB), 1);
    expect(await recording.finish()).toBe(before + 3);
    const [found] = await world.reopen(64 * 1024 * KIB);
    expect(found!.chunkCount).toBe(before + 3);
  });
});

describe('after the app was killed', () => {
  it('[U3] all that was appended is found, and the recording says that it was interrupted', async () => {
    const recording = await world.record();
    await appendSlices(recording, 12);
    const before = await readAll(recording);
    const [found] = await world.reopen();
    expect(found!.start).toEqual(recording.start);
    expect(found!.source).toEqual(SOURCE);
    expect(found).toMatchObject({ isInterrupted: true, isCapturing: false, chunkCount: null });
    const reader = await readAll(found!);
    expect(reader.media).toEqual(before.media);
    expect(reader.outline.at(-1)).toBe('epoch-ended: app-crashed');
    await expect(found!.appendMedia(bytes(1), 1)).rejects.toMatchObject({ code: 'MESSAGE_UNEXPECTED' });
  });

  it('[U3] a recording goes on in its next epoch, with the numbers and the chain that it had', async () => {
    const recording = await world.record();
    await appendSlices(recording, 5);
    const [found] = await world.reopen();
    found!.resume();
    expect(found).toMatchObject({ isInterrupted: false, isCapturing: true });
    await found!.beginEpoch(EPOCH);
    await found!.appendMedia(bytes(10), 9);
    expect(await found!.finish()).toBe(10);
    const { chunks, outline } = await readAll(found!);
    expect(chunks.map(({ epoch }) => epoch)).toEqual([0, 0, 0, 0, 0, 0, 0, 1, 1, 1]);
    expect(outline.slice(-4)).toEqual([
      'epoch-ended: app-crashed',
      'epoch-started',
      'media',
      'epoch-ended: stopped',
    ]);
    expect(() => found!.resume()).toThrow('not interrupted');
  });

  it('[U3] it is not interrupted twice by one crash, nor after the person has stopped', async () => {
    const recording = await world.record();
    await appendSlices(recording, 2);
    await world.reopen();
    const [again] = await world.reopen();
    expect(again).toMatchObject({ isInterrupted: true, appendedCount: 4 });

    again!.resume();
    await again!.beginEpoch(EPOCH);
    await again!.endEpoch('stopped');
    const [stopped] = await world.reopen();
    expect(stopped).toMatchObject({ isInterrupted: false, chunkCount: 6 });
  });

  it.each([
    ['an epoch open', false],
    ['no epoch open', true],
  ])(
    '[U1] a recording goes on though every chunk was confirmed and deleted, with %s',
    async (_what, isEnded) => {
      const recording = await world.record();
      // Two full segments, the second of them with the last event.
      await recording.appendMedia(bytes(16 * KIB), 1);
      await recording.appendMedia(bytes(isEnded ? 16_036 : 16 * KIB), 2);
      if (isEnded) await recording.endEpoch('source-ended');
      const expected = await readAll(recording);
      // The next segment does not get its first chunk any more.
      const dying = Promise.withResolvers<void>();
      vi.spyOn(SpoolSegment.prototype, 'append').mockReturnValueOnce(dying.promise);
      const lost = isEnded ? recording.beginEpoch(EPOCH) : recording.appendMedia(bytes(1), 1);
      const names = async () => {
        recording.acknowledge(recording.appendedCount);
        return segmentsOf(recording);
      };
      await expect.poll(names).toEqual([segmentName(expected.chunks.length)]);

      const [found] = await world.reopen();
      const first = expected.chunks.length;
      expect(found).toMatchObject({ isInterrupted: true, durableCount: first });
      found!.resume();
      await found!.beginEpoch(EPOCH);
      await found!.finish();
      for (let sequence = first; sequence < found!.appendedCount; sequence++) {
        expected.read(await found!.readFrame(sequence));
      }
      const ended = isEnded ? [] : ['epoch-ended: app-crashed'];
      expect(expected.outline.slice(first)).toEqual([...ended, 'epoch-started', 'epoch-ended: stopped']);
      expect(expected.chunks.at(-1)?.epoch).toBe(1);
      dying.reject(new Error('The app is gone.'));
      await lost.catch(() => undefined);
    },
  );

  it('[U3] it was captured until its last chunk, also when that was confirmed and deleted', async () => {
    const recording = await world.record();
    const lastUs = recording.start.startedAtUs + 3_600_000_000;
    await recording.appendMedia(bytes(16 * KIB), lastUs);
    // The app dies when the next segment has been made, and before anything is in it.
    const dying = Promise.withResolvers<void>();
    vi.spyOn(SpoolSegment.prototype, 'append').mockReturnValueOnce(dying.promise);
    const lost = recording.appendMedia(bytes(1), lastUs + 1);
    const names = async () => {
      recording.acknowledge(recording.appendedCount);
      return segmentsOf(recording);
    };
    await expect.poll(names).toEqual([segmentName(2)]);
    const [found] = await world.reopen();
    expect(found!.lastCaptureTimeUs).toBe(lastUs);
    const [again] = await world.reopen();
    expect(again!.lastCaptureTimeUs).toBe(lastUs);
    dying.reject(new Error('The app is gone.'));
    await lost.catch(() => undefined);
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
    const outline = ['epoch-started', 'media', 'media', 'epoch-ended: app-crashed'];
    expect((await readAll(found!)).outline).toEqual(outline);
    // What was cut is cut for good.
    const [again] = await world.reopen();
    expect((await readAll(again!)).outline).toEqual(outline);
  });

  it.each([
    ['zeros', Buffer.alloc(500)],
    ['noise', Buffer.from(Array.from({ length: 500 }, (_, index) => (index * 97) % 256))],
  ])('%s behind the last chunk are cut', async (_what, garbage) => {
    const recording = await world.record();
    await appendSlices(recording, 2);
    await appendFile(join(world.folderOf(recording), (await segmentsOf(recording)).at(-1)!), garbage);
    const [found] = await world.reopen();
    expect((await readAll(found!)).outline).toHaveLength(4);
  });

  /** Flips one bit of segment `index` and returns what its files hold then. */
  async function flip(recording: SpooledRecording, index: number, at: number): Promise<Buffer[]> {
    const paths = (await segmentsOf(recording)).map((name) => join(world.folderOf(recording), name));
    const damaged = await readFile(paths[index]!);
    damaged[at]! ^= 1;
    await writeFile(paths[index]!, damaged);
    return Promise.all(paths.map((path) => readFile(path)));
  }
  const bytesOf = async (recording: SpooledRecording, files = segmentsOf(recording)) =>
    Promise.all((await files).map((name) => readFile(join(world.folderOf(recording), name))));

  const HEAD = 96;
  const FRAME = 160 + 4 * KIB;
  it.each([
    ['the payload of a chunk', 1, HEAD + FRAME + 500, 1],
    ['the number of a chunk', 1, HEAD + FRAME + 15, 1],
    ['the number of the last chunk', 2, HEAD + 2 * FRAME + 10, 1],
    ['the length of a chunk', 1, HEAD + 26, 1],
    // It is read as it is: the relay refuses it, or has it already.
    ['the chain value of a chunk', 1, HEAD + FRAME + 70, 1],
    ['the payload of the last chunk of a file', 1, HEAD + 3 * FRAME + 500, 1],
    ['the head of the first file', 0, 10, 0],
    ['the head of a file in the middle', 1, 10, 0],
    ['the head of the last file', 2, 10, 0],
  ])(
    '[U10] a flipped bit in %s costs no other chunk, now or at the next start',
    async (_what, index, at, lost) => {
      const recording = await world.record();
      await appendSlices(recording, 10);
      await recording.finish();
      const count = recording.appendedCount;
      const frames = await Promise.all(
        Array.from({ length: count }, (_, sequence) => recording.readFrame(sequence)),
      );
      const before = await flip(recording, index, at);
      for (let start = 0; start < 2; start++) {
        const [found] = await world.reopen();
        expect(found).toMatchObject({ appendedCount: count, chunkCount: count });
        const differing: number[] = [];
        for (const [sequence, frame] of frames.entries()) {
          const read = await found!.readFrame(sequence).catch(() => null);
          if (!read || !Buffer.from(frame).equals(read)) differing.push(sequence);
        }
        expect(differing).toHaveLength(lost);
        expect(await bytesOf(found!)).toEqual(before);
      }
    },
  );

  it('[U10] a recording goes on behind a damaged chunk, with the number and the chain that it had', async () => {
    const recording = await world.record();
    await appendSlices(recording, 10);
    const before = await readAll(recording);
    await flip(recording, 1, HEAD + FRAME + 500);
    const [found] = await world.reopen();
    expect(found).toMatchObject({ isInterrupted: true });
    found!.resume();
    await found!.beginEpoch(EPOCH);
    const first = before.chunks.length;
    for (let sequence = first; sequence < found!.appendedCount; sequence++) {
      before.read(await found!.readFrame(sequence));
    }
    expect(before.outline.slice(first)).toEqual(['epoch-ended: app-crashed', 'epoch-started']);
  });

  it('[U10] a file of which nothing can be read is put aside, and neither overwritten nor forgotten', async () => {
    const recording = await world.record();
    await appendSlices(recording, 2);
    const [name] = await segmentsOf(recording);
    const path = join(world.folderOf(recording), name!);
    const noise = Buffer.alloc(5_000, 0xaa);
    await writeFile(path, noise);
    for (let start = 0; start < 2; start++) {
      expect(await world.reopen()).toEqual([]);
      expect(await readFile(`${path}.damaged`)).toEqual(noise);
    }
    expect(world.spool.space.usedBytes).toBe(0);
  });

  it('[U10] chunks behind damaged ones are kept until the relay has those too', async () => {
    const recording = await world.record();
    await appendSlices(recording, 10);
    await flip(recording, 0, HEAD + 3 * FRAME);
    const [found] = await world.reopen();
    const names = await segmentsOf(found!);
    const lastOfFirst = Number(/\d+/.exec(names[1]!)![0]) - 1;
    found!.acknowledge(lastOfFirst);
    await found!.close();
    expect(await segmentsOf(found!)).toEqual(names);
    const [again] = await world.reopen();
    again!.acknowledge(lastOfFirst + 1);
    await again!.close();
    expect(await segmentsOf(again!)).toEqual(names.slice(1));
  });

  it('what was durable and deleted is not missed', async () => {
    const recording = await world.record();
    await appendSlices(recording, 11);
    await recording.finish();
    recording.acknowledge(11);
    await recording.close();
    const [found] = await world.reopen();
    expect(found!.appendedCount).toBe(13);
    const firstKept = Number(/\d+/.exec((await segmentsOf(found!))[0]!)![0]);
    expect(firstKept).toBeGreaterThan(0);
    expect(found!.durableCount).toBe(firstKept);
    await found!.readFrame(12);
  });

  it('a recording without a chunk is forgotten', async () => {
    await world.spool.create(newStart(), SOURCE);
    expect(await world.reopen()).toEqual([]);
    expect(await readdir(world.directory)).toEqual(['ballast']);
    expect(world.spool.space.usedBytes).toBe(0);
  });

  it('a folder that says nothing is left alone and hinders nobody', async () => {
    const stray = `rec_${'0'.repeat(20)}`;
    await mkdir(join(world.directory, stray));
    await writeFile(join(world.directory, stray, 'chunks-000000000000.spool'), 'x');
    await world.record();
    expect(await world.reopen()).toHaveLength(1);
    expect(await readdir(join(world.directory, stray))).toHaveLength(1);
  });
});

describe('the spool after it was closed', () => {
  it('takes nothing, and closing again is harmless', async () => {
    const recording = await world.record();
    await world.spool.close();
    await world.spool.close();
    await expect(recording.appendMedia(bytes(1), 1)).rejects.toMatchObject({ code: 'MESSAGE_UNEXPECTED' });
    expect(world.spool.space.usedBytes).toBe(0);
  });
});
