/**
 * A network that is away for half an hour: the desktop's real spool and uploader against the real media half of the
 * relay, whose clock is passed in. What was captured meanwhile is made without waiting for it, so the half hour takes
 * seconds; the files, the sockets and every byte are real.
 */
import { CodedError } from '@proofcast/shared';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ChunkUploader, type UploadState } from '../../desktop/src/main/chunk-uploader.ts';
import type { SpooledRecording } from '../../desktop/src/main/spooled-recording.ts';
import { EPOCH, newStart, SOURCE, SpoolWorld, UPLOAD_LIMITS } from '../../desktop/testing/spool-world.ts';
import { HeldTimers } from '../../relay/testing/held-timers.ts';
import { MediaWorld } from '../../relay/testing/media-world.ts';
import { RecorderStream } from '../bench/recorder-stream.ts';

const GRACE_MS = 60_000;
const SLICE_MS = 2_000;
const CUT_MS = 30 * 60_000;
const BITS_PER_SECOND = 400_000;
const SPOOL_BYTES = 512 * 1024 * 1024;

let clock: HeldTimers;
let world: MediaWorld;
let spool: SpoolWorld;
let uploader: ChunkUploader | undefined;

beforeEach(async () => {
  clock = new HeldTimers(GRACE_MS);
  [world, spool] = await Promise.all([
    MediaWorld.open({ clock, graceMs: GRACE_MS }),
    SpoolWorld.open(SPOOL_BYTES),
  ]);
});
afterEach(async () => {
  uploader?.close();
  await spool.close();
  await world.close();
});

/** Captures so much at once: slices as the recorder delivers them, each with the time at which it would have come. */
async function capture(
  recording: SpooledRecording,
  stream: RecorderStream,
  durationMs: number,
): Promise<void> {
  for (let ms = 0; ms < durationMs; ms += SLICE_MS) {
    await recording.appendMedia(stream.take(SLICE_MS), recording.lastCaptureTimeUs + SLICE_MS * 1000);
  }
}

describe('a network that is away for half an hour', () => {
  it('[I13] [U1] loses no second: all of it is in the same recording, caught up faster than it was captured', async ({
    annotate,
  }) => {
    const device = await world.device();
    const url = world.urlFor(device);
    let isCut = false;
    const { streamId, deviceId } = device;
    // Slices are dated on from here, faster than time passes.
    const startedAtUs = Date.now() * 1000;
    const recording = await spool.spool.create(newStart({ streamId, deviceId, startedAtUs }), SOURCE);
    await recording.beginEpoch({ ...EPOCH, startedAtUs });
    const changes: (() => void)[] = [];
    const upload = new ChunkUploader({
      recording,
      access: {
        get: () =>
          isCut
            ? Promise.reject(new CodedError('UNAVAILABLE', 'The network is away.'))
            : Promise.resolve({ url, token: '' }),
        discard: () => undefined,
      },
      limits: { ...UPLOAD_LIMITS, maxInFlightBytes: 2 * 1024 * 1024 },
      pace: () => 'window',
      backlog: () => ({ bytes: 0, chunks: 0 }),
      log: spool.log,
      onChanged: () => changes.splice(0).forEach((resolve) => resolve()),
    });
    uploader = upload;
    const until = async (condition: (state: UploadState) => boolean): Promise<void> => {
      while (!condition(upload.state)) await new Promise<void>((resolve) => changes.push(resolve));
    };
    const isCaughtUp = () => recording.durableCount === recording.appendedCount;
    const stateOf = async () => (await world.media.listRecordings(device.companyId, {}))[0]?.state;
    const stream = new RecorderStream({ bitsPerSecond: BITS_PER_SECOND });

    upload.start();
    await capture(recording, stream, 4 * SLICE_MS);
    await until(isCaughtUp);
    isCut = true;
    world.cut();
    await until(({ kind }) => kind === 'reconnecting');
    await expect.poll(stateOf).toBe('reconnecting');
    clock.pass();
    await expect.poll(stateOf).toBe('provisional');
    await capture(recording, stream, CUT_MS);

    isCut = false;
    await until(({ kind }) => kind === 'uploading');
    const sinceMs = performance.now();
    await until(isCaughtUp);
    const rate = CUT_MS / (performance.now() - sinceMs);
    const mbps = (BITS_PER_SECOND * rate) / 1e6;
    await annotate(
      `caught up with ${CUT_MS / 60_000} min at ${rate.toFixed(0)} × real time (${mbps.toFixed(0)} Mbit/s)`,
    );
    expect(rate).toBeGreaterThan(4);
    expect(await stateOf()).toBe('recording');

    await recording.finish();
    await until(({ kind }) => kind === 'finished');
    await world.media.whenSealed();
    const [sealed, ...others] = await world.media.listRecordings(device.companyId, {});
    expect(others).toEqual([]);
    expect(sealed).toMatchObject({
      recordingId: recording.start.recordingId,
      state: 'sealed',
      isComplete: true,
      gapCount: 0,
    });
    expect(sealed?.durationMs).toBeGreaterThan(CUT_MS + 3 * SLICE_MS);
  });
});
