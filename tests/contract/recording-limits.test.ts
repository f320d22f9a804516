/**
 * A share that is longer than one recording may be: the desktop's real spool, uploader and recordings against the real
 * media half of the relay, which takes only a few chunks of each. The page, which runs the recorder, is played here.
 */
import { CodedError, type Id } from '@proofcast/shared';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Recordings } from '../../desktop/src/main/recordings.ts';
import { UploadQueue } from '../../desktop/src/main/upload-queue.ts';
import { EPOCH, SOURCE, SpoolWorld, UPLOAD_LIMITS } from '../../desktop/testing/spool-world.ts';
import { MediaWorld } from '../../relay/testing/media-world.ts';
import { RecorderStream } from '../bench/recorder-stream.ts';

const MAX_CHUNKS = 20;
const SLICES = 60;
const SLICE_MS = 2_000;
const SPOOL_BYTES = 64 * 1024 * 1024;

let world: MediaWorld;
let spool: SpoolWorld;
let queue: UploadQueue;
let recordings: Recordings;
let device: Awaited<ReturnType<MediaWorld['device']>>;
let isCut: boolean;
let waiting: (() => void)[];

beforeEach(async () => {
  isCut = false;
  waiting = [];
  [world, spool] = await Promise.all([
    MediaWorld.open({ limits: { maxChunksPerRecording: MAX_CHUNKS } }),
    SpoolWorld.open(SPOOL_BYTES),
  ]);
  device = await world.device();
  const url = world.urlFor(device);
  const onChanged = () => waiting.splice(0).forEach((resolve) => resolve());
  queue = new UploadQueue({
    limits: UPLOAD_LIMITS,
    log: spool.log,
    accessFor: () => ({
      get: () =>
        isCut
          ? Promise.reject(new CodedError('UNAVAILABLE', 'The network is away.'))
          : Promise.resolve({ url, token: '' }),
      discard: () => undefined,
    }),
    remove: (recording) => spool.spool.remove(recording).finally(onChanged),
    onChanged,
  });
  recordings = new Recordings({
    spool: spool.spool,
    queue,
    stallAfterMs: 60_000,
    resumeWindowMs: 60_000,
    isOurs: () => true,
    log: spool.log,
    onChanged,
  });
});
afterEach(async () => {
  recordings.close();
  queue.close();
  await spool.close();
  await world.close();
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise<void>((resolve) => waiting.push(resolve));
}

/** Captures so many slices as the page does it: in another epoch when the recording is nearly full, or refused. */
async function share(slices: number): Promise<Set<Id>> {
  const { streamId, deviceId } = device;
  const publisher = { streamId, deviceId, serverUrl: 'http://127.0.0.1:1' };
  const used = new Set<Id>();
  let taken = 0;
  while (taken < slices) {
    const startedAtUs = Date.now() * 1000;
    const recordingId = await recordings.openCurrent(publisher, SOURCE);
    used.add(recordingId);
    const epoch = await recordings.beginEpoch(recordingId, { ...EPOCH, startedAtUs });
    const stream = new RecorderStream({ bitsPerSecond: 400_000 });
    for (let isOver = false; taken < slices && !isOver; taken++) {
      const slice = { epoch, bytes: stream.take(SLICE_MS), captureTimeUs: Date.now() * 1000 };
      isOver = await recordings.appendMedia(recordingId, slice).catch((error: unknown) => {
        expect(error).toMatchObject({ code: 'RECORDING_FULL' });
        return true;
      });
    }
    await recordings.endEpoch(recordingId, { epoch, reason: 'recorder-restarted' });
  }
  return used;
}

const listed = () => world.media.listRecordings(device.companyId, {});

describe('a share that is longer than one recording may be', () => {
  it('[U12] becomes several recordings, each of them complete, and leaves nothing in the spool', async () => {
    const { streamId, deviceId } = device;
    await recordings.openCurrent({ streamId, deviceId, serverUrl: 'http://127.0.0.1:1' }, SOURCE);
    await until(() => recordings.path.kind === 'uploading');
    // What the relay takes is told for each recording, before the next slice of it is captured.
    const used = new Set<Id>();
    for (let slice = 0; slice < SLICES; slice += 10) {
      for (const recordingId of await share(10)) used.add(recordingId);
      await until(() => recordings.path.kind === 'uploading' && recordings.path.backlogBytes === 0);
    }
    await recordings.endCurrent();
    await until(
      () =>
        recordings.path.kind === 'finished' && recordings.uploads.every(({ state }) => state.kind === 'done'),
    );
    await until(() => spool.spool.recordings.length === 0);
    await world.media.whenSealed();
    const sealed = await listed();
    expect(new Set(sealed.map(({ recordingId }) => recordingId))).toEqual(used);
    expect(sealed.length).toBeGreaterThanOrEqual(SLICES / MAX_CHUNKS);
    for (const recording of sealed) expect(recording).toMatchObject({ state: 'sealed', isComplete: true });
    expect(spool.spool.space.usedBytes).toBe(0);
  });

  it('[U11] [I18] goes on in another recording when the relay has taken all it takes of the one it has', async () => {
    isCut = true;
    const [first] = await share(MAX_CHUNKS + 10);
    isCut = false;
    await until(() => recordings.path.kind === 'failed');
    expect(recordings.path).toMatchObject({ recordingId: first, reason: { code: 'RECORDING_FULL' } });
    const [next, ...others] = await share(5);
    expect(others).toEqual([]);
    expect(next).not.toBe(first);
    await recordings.endCurrent();
    await until(() => recordings.path.kind === 'finished');
    await expect
      .poll(async () => (await listed()).find(({ recordingId }) => recordingId === next)?.state)
      .toBe('sealed');
    expect(recordings.uploads).toMatchObject([{ recordingId: first, state: { kind: 'refused' } }]);
    await recordings.discard(first!);
    await until(() => spool.spool.recordings.length === 0);
  });
});
