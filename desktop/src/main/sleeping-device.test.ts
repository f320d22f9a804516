/** What the recordings make of a device that sleeps or is locked. */
import { createId, type EpochEndReason, type Id } from '@proofcast/shared';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ChunkReader } from '../../testing/chunk-reader.ts';
import { EPOCH, KIB, SOURCE, SpoolWorld, UPLOAD_LIMITS } from '../../testing/spool-world.ts';
import { TestRelay, TOKEN } from '../../testing/test-relay.ts';
import { Recordings } from './recordings.ts';
import { UploadQueue } from './upload-queue.ts';

const HOUR_US = 3_600_000_000;
const STALL_AFTER_MS = 50;
const PUBLISHER = {
  serverUrl: 'http://127.0.0.1:1',
  deviceId: createId('device'),
  streamId: createId('stream'),
};

let world: SpoolWorld;
let relay: TestRelay;
let queue: UploadQueue;
let recordings: Recordings;

beforeEach(async () => {
  world = await SpoolWorld.open();
  relay = await TestRelay.open();
  queue = new UploadQueue({
    limits: UPLOAD_LIMITS,
    log: world.log,
    accessFor: () => ({
      get: () => Promise.resolve({ url: relay.ingestUrl, token: TOKEN }),
      discard: () => undefined,
    }),
    remove: (recording) => world.spool.remove(recording),
    onChanged: () => undefined,
  });
  recordings = new Recordings({
    spool: world.spool,
    queue,
    stallAfterMs: STALL_AFTER_MS,
    resumeWindowMs: 60_000,
    isOurs: () => true,
    log: world.log,
    onChanged: () => undefined,
  });
});
afterEach(async () => {
  recordings.close();
  queue.close();
  await relay.close();
  await world.close();
});

/** A share that feeds one recording, and what arrives of it. */
class Share {
  readonly recordingId: Id;
  readonly reader: ChunkReader;
  #epoch = 0;

  private constructor(recordingId: Id, reader: ChunkReader) {
    this.recordingId = recordingId;
    this.reader = reader;
  }

  static async begin(): Promise<Share> {
    const recordingId = await recordings.openCurrent(PUBLISHER, SOURCE);
    const recording = world.spool.recordings.find(({ start }) => start.recordingId === recordingId);
    const share = new Share(recordingId, relay.expect(recording!.start));
    await share.beginEpoch();
    return share;
  }

  async beginEpoch(): Promise<void> {
    this.#epoch = await recordings.beginEpoch(this.recordingId, EPOCH);
  }

  async slice(captureTimeUs = Date.now() * 1000): Promise<void> {
    const slice = { epoch: this.#epoch, bytes: new Uint8Array(KIB), captureTimeUs };
    await recordings.appendMedia(this.recordingId, slice);
  }

  async endEpoch(reason: EpochEndReason): Promise<void> {
    await recordings.endEpoch(this.recordingId, { epoch: this.#epoch, reason });
  }

  /** Resolves when the relay has all of it. */
  async stop(): Promise<void> {
    const stopped = once(relay, 'stopped');
    await recordings.endCurrent();
    await stopped;
  }

  /** When the n-th chunk was captured. */
  timeUs(n: number): number {
    return this.reader.chunks.at(n)?.captureTimeUs ?? Number.NaN;
  }
}

describe('a device that sleeps', () => {
  it('[U20] ends its epoch when it falls asleep, also when the page can say so only after it woke up', async () => {
    const share = await Share.begin();
    await share.slice();
    const fromUs = Date.now() * 1000;
    recordings.onSuspend();
    const toUs = Date.now() * 1000;
    const wokeUpUs = toUs + HOUR_US;
    await share.slice(wokeUpUs);
    await share.endEpoch('suspended');
    expect(recordings.onResume()).toBe(false);
    await share.beginEpoch();
    await share.slice(wokeUpUs);
    await share.stop();
    expect(share.reader.outline.filter((line) => !line.startsWith('capture-'))).toEqual([
      'epoch-started',
      'media',
      'media',
      'epoch-ended: suspended',
      'epoch-started',
      'media',
      'epoch-ended: stopped',
    ]);
    const end = share.reader.outline.indexOf('epoch-ended: suspended');
    for (const timeUs of [share.timeUs(end - 1), share.timeUs(end)]) {
      expect(timeUs).toBeGreaterThanOrEqual(fromUs);
      expect(timeUs).toBeLessThanOrEqual(toUs);
    }
    expect(share.timeUs(share.reader.outline.lastIndexOf('media'))).toBe(wokeUpUs);
  });

  it('[U20] and could not say so before is known by its silence; its epoch ends with its last sign of life', async () => {
    const share = await Share.begin();
    const longAgoUs = Date.now() * 1000 - HOUR_US;
    await share.slice(longAgoUs);
    expect(recordings.onResume()).toBe(true);
    // Some systems say it twice.
    expect(recordings.onResume()).toBe(false);
    await share.endEpoch('suspended');
    await share.stop();
    expect(share.reader.outline).toEqual(['epoch-started', 'media', 'epoch-ended: suspended']);
    expect(share.timeUs(-1)).toBe(longAgoUs);
  });

  it('[U20] and is awake all the time goes on in its epoch', async () => {
    const share = await Share.begin();
    await share.slice();
    expect(recordings.onResume()).toBe(false);
    await share.endEpoch('stopped');
    await share.stop();
    expect(share.reader.outline).toEqual(['epoch-started', 'media', 'epoch-ended: stopped']);
  });

  it('[U20] while nothing is captured changes nothing', async () => {
    recordings.onSuspend();
    expect(recordings.onResume()).toBe(false);
    const share = await Share.begin();
    const nowUs = Date.now() * 1000 + HOUR_US;
    await share.slice(nowUs);
    await share.endEpoch('stopped');
    recordings.onSuspend();
    expect(recordings.onResume()).toBe(false);
    await share.stop();
    expect(share.reader.outline).toEqual(['epoch-started', 'media', 'epoch-ended: stopped']);
    expect(share.timeUs(1)).toBe(nowUs);
  });
});

describe('a device that is locked', () => {
  it('[U21] says so in every epoch, and once', async () => {
    recordings.setLocked(false);
    const share = await Share.begin();
    recordings.setLocked(true);
    recordings.setLocked(true);
    await share.endEpoch('recorder-failed');
    await share.beginEpoch();
    recordings.setLocked(false);
    await share.endEpoch('stopped');
    recordings.setLocked(true);
    await share.stop();
    expect(share.reader.outline.filter((line) => !line.startsWith('capture-'))).toEqual([
      'epoch-started',
      'screen-locked',
      'epoch-ended: recorder-failed',
      'epoch-started',
      'screen-locked',
      'screen-unlocked',
      'epoch-ended: stopped',
    ]);
  });
});
