import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { CodedError, type DevicePrincipal, type Id } from '@proofcast/shared';
import { loadWebmClip } from '@proofcast/shared/testing/webm-clip';
import { pino } from 'pino';
import { afterEach, describe, expect, test } from 'vitest';
import type { ChunkMaker } from '../../testing/chunk-maker.ts';
import { HeldTimers } from '../../testing/held-timers.ts';
import { MediaWorld } from '../../testing/media-world.ts';
import { RecordingCatalogue } from './catalogue.ts';
import type { ServedBytes } from './file-bytes.ts';
import { OpenRecordings } from './open-recordings.ts';
import { RecordingPlayback } from './playback.ts';

const GRACE_MS = 54_321;
const ROUNDS = 2;
const READERS = 4;

/** The real one; a test may let something happen before and after it is asked for the files. */
class HeldCatalogue extends RecordingCatalogue {
  beforeParts: () => Promise<void> = () => Promise.resolve();
  afterParts: () => Promise<void> = () => Promise.resolve();

  override async parts(recordingId: Id): ReturnType<RecordingCatalogue['parts']> {
    await this.beforeParts();
    const parts = await super.parts(recordingId);
    await this.afterParts();
    return parts;
  }
}

describe('a recording that is played while it is merged and made a journal again', () => {
  let world: MediaWorld;
  let device: DevicePrincipal;
  let grace: HeldTimers;

  afterEach(() => world.close());

  /** A recording of two parts whose publisher was lost, and which is merged as soon as it is. */
  async function openWorld(): Promise<ChunkMaker> {
    grace = new HeldTimers(GRACE_MS);
    world = await MediaWorld.open({ clock: grace, graceMs: GRACE_MS, limits: { provisionalKeepMs: 0 } });
    device = await world.device();
    const maker = world.maker(device, (Date.now() - 60_000) * 1000);
    for (const [index, name] of (['vp8', 'vp9'] as const).entries()) {
      maker.epoch({ startedAtUs: maker.start.startedAtUs + index * 20_000_000 });
      for (const slice of loadWebmClip(name).slices) maker.media(slice);
    }
    return maker;
  }

  const details = ({ start }: ChunkMaker) => world.media.getRecording(device.companyId, start.recordingId);

  async function comeAndGo(maker: ChunkMaker): Promise<void> {
    const publisher = await world.publisher(device, maker);
    const { nextSequence } = await publisher.hello();
    publisher.upload(nextSequence);
    await publisher.untilDurable();
    publisher.socket.terminate();
    await expect.poll(() => grace.size, { interval: 1 }).toBe(1);
    grace.pass();
  }

  async function untilMerged(maker: ChunkMaker): Promise<void> {
    while ((await details(maker)).sizeBytes === null) await setImmediate();
    await world.media.whenSealed();
  }

  async function open(maker: ChunkMaker, part: number, chunkCount: number | null) {
    const { recordingId } = maker.start;
    return world.media.openRecordingMedia({ companyId: device.companyId, recordingId, part, chunkCount });
  }

  async function readAll(bytes: ServedBytes): Promise<{ etag: string; bytes: Buffer }> {
    try {
      const pieces: Uint8Array[] = [];
      for await (const piece of bytes.read(0, bytes.sizeBytes)) pieces.push(piece.slice());
      return { etag: bytes.etag, bytes: Buffer.concat(pieces) };
    } finally {
      bytes.close();
    }
  }

  test('[A11] gives the same bytes at every moment, or asks to try again', async () => {
    const maker = await openWorld();
    await comeAndGo(maker);
    await untilMerged(maker);
    const count = maker.chunks.length;
    const parts: Awaited<ReturnType<typeof readAll>>[] = [];
    for (const part of [0, 1]) {
      const answer = await open(maker, part, null);
      if (answer.kind !== 'bytes') throw new Error('It has files.');
      parts.push(await readAll(answer.bytes));
    }
    const over = new AbortController();
    const seen = { journal: 0, files: 0 };
    const readers = Array.from({ length: READERS }, async (_, reader) => {
      const part = reader % 2;
      const chunkCount = reader < READERS / 2 ? count : null;
      while (!over.signal.aborted) {
        try {
          const answer = await open(maker, part, chunkCount);
          if (answer.kind === 'pinned') {
            seen.journal += 1;
            expect(answer.chunkCount).toBe(count);
          } else {
            seen.files += 1;
            const read = await readAll(answer.bytes);
            expect(read.etag).toBe(parts[part]?.etag);
            expect(parts[part]?.bytes.equals(read.bytes)).toBe(true);
          }
        } catch (error) {
          if (!(error instanceof CodedError)) throw error;
          expect(error).toMatchObject({ code: 'RECORDING_NOT_READY', isRetryable: true });
        }
        await setImmediate();
      }
    });
    for (let round = 0; round < ROUNDS; round += 1) {
      await comeAndGo(maker);
      await untilMerged(maker);
    }
    over.abort();
    await Promise.all(readers);
    expect(seen.journal).toBeGreaterThan(0);
    expect(seen.files).toBeGreaterThan(0);
  }, 60_000);

  test.each(['beforeParts', 'afterParts'] as const)(
    '[A11] asks to try again when the recording goes on %s of it are looked up, and never gives another file',
    async (moment) => {
      const maker = await openWorld();
      const rest = maker.chunks.splice(maker.chunks.length - 2);
      await comeAndGo(maker);
      await untilMerged(maker);
      const catalogue = new HeldCatalogue(world.database);
      const playback = new RecordingPlayback({
        catalogue,
        // Of another relay, as it were: it finds the files alone.
        recordings: new OpenRecordings({
          maxOpen: 1,
          maxOpening: 1,
          reopen: () => Promise.reject(new Error('There is none.')),
          log: pino({ level: 'silent' }),
        }),
        recordingsDir: join(world.dataDir, 'recordings'),
        whenRead: () => Promise.resolve(),
      });
      const { recordingId } = maker.start;
      const request = { companyId: device.companyId, recordingId, part: 1, chunkCount: null };
      const whole = await playback.open(request);
      if (whole.kind !== 'bytes') throw new Error('It has files.');
      const { bytes } = await readAll(whole.bytes);

      catalogue[moment] = async () => {
        catalogue[moment] = () => Promise.resolve();
        const publisher = await world.publisher(device, maker);
        await publisher.hello();
        if (moment === 'beforeParts') return publisher.socket.terminate();
        maker.chunks.push(...rest);
        publisher.upload(maker.chunks.length - rest.length);
        await publisher.untilDurable();
        publisher.socket.terminate();
        await expect.poll(() => grace.size, { interval: 1 }).toBe(1);
        grace.pass();
        await untilMerged(maker);
      };
      await expect(playback.open(request)).rejects.toMatchObject({
        code: 'RECORDING_NOT_READY',
        isRetryable: true,
      });
      if (moment === 'beforeParts') return;
      const again = await playback.open(request);
      if (again.kind !== 'bytes') throw new Error('It has files.');
      const now = await readAll(again.bytes);
      expect(now.bytes.length).toBeGreaterThan(bytes.length);
    },
  );

  test('[A11] never gives the beginning of one version and the end of another', async () => {
    const maker = await openWorld();
    const all = maker.chunks.splice(maker.chunks.length - 2);
    await comeAndGo(maker);
    await untilMerged(maker);
    const before = await open(maker, 1, null);
    if (before.kind !== 'bytes') throw new Error('It has files.');
    const reading = before.bytes.read(0, before.bytes.sizeBytes);
    const pieces = [Buffer.from((await reading.next()).value as Uint8Array)];
    const old = await open(maker, 1, maker.chunks.length);
    maker.chunks.push(...all);
    await comeAndGo(maker);
    await untilMerged(maker);
    // Who began to read reads on in what there was then.
    for await (const piece of reading) pieces.push(Buffer.from(piece));
    before.bytes.close();
    if (old.kind !== 'bytes') throw new Error('What is pinned has bytes.');
    expect(Buffer.concat(pieces).equals((await readAll(old.bytes)).bytes)).toBe(true);
    const now = await open(maker, 1, null);
    if (now.kind !== 'bytes') throw new Error('It has files.');
    expect(now.bytes.etag).not.toBe(before.bytes.etag);
    now.bytes.close();
    await expect(open(maker, 1, maker.chunks.length - 2)).rejects.toMatchObject({ code: 'SNAPSHOT_GONE' });
  });
});
