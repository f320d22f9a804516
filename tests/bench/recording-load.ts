/** Uploads a whole recording at once, stops it, and asks for a place in it as a player does. A helper of benchmarks. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { fromErrorBody, type Derivative, type ErrorBody } from '@proofcast/shared';
import type { TestClient } from '../../relay/testing/test-client.ts';
import { signInAdmin } from './bench-relay.ts';
import { serveHelper } from './helper-process.ts';
import { enrolPublishers, LoadPublisher, sharePayload } from './load-publisher.ts';
import { RecorderStream } from './recorder-stream.ts';

const SLICE_MS = 250;
/** As few as the pictures allow: what is measured depends on their number, not on their size. */
const SMALLEST_BITS_PER_SECOND = 1;
/** Chunks that may wait for the disk. */
const MAX_BEHIND = 200;
/** What a player asks for when somebody clicks into the timeline. */
const RANGE_BYTES = 256 * 1024;
const READY_TIMEOUT_MS = 60_000;
const SETTLE_TIMEOUT_MS = 600_000;

let admin: TestClient;
let publisher: LoadPublisher;
let mediaBytes = 0;

const handlers = {
  /** Uploads so much, all durable; the recording goes on. */
  async upload({ url, durationMs }: { url: string; durationMs: number }): Promise<{ chunks: number }> {
    admin = await signInAdmin(url);
    const [seat] = await enrolPublishers(admin, 1);
    const startedAtUs = (Date.now() - durationMs) * 1000;
    publisher = await LoadPublisher.open(url, seat!, startedAtUs);
    const stream = new RecorderStream({ bitsPerSecond: SMALLEST_BITS_PER_SECOND });
    mediaBytes = 0;
    for (let ms = 0; ms < durationMs; ms += SLICE_MS) {
      const slice = stream.take(SLICE_MS);
      mediaBytes += slice.length;
      publisher.send(sharePayload('media', slice), startedAtUs + (ms + SLICE_MS) * 1000);
      await publisher.untilBehindBy(MAX_BEHIND);
    }
    await publisher.untilDurable();
    return { chunks: publisher.sentCount };
  },

  /** Milliseconds from `stop` until the bytes in the middle of the recording have come by HTTP. */
  async stopAndSeek(_: undefined): Promise<number> {
    const startedMs = performance.now();
    await publisher.stop();
    const middle = Math.floor(mediaBytes / 2);
    for (;;) {
      const response = await admin.fetch('recordingMedia', {
        params: { recordingId: publisher.recordingId },
        headers: { range: `bytes=${middle}-${middle + RANGE_BYTES - 1}` },
      });
      if (response.status === 206) {
        const { byteLength } = await response.arrayBuffer();
        const tookMs = performance.now() - startedMs;
        const expected = Math.min(RANGE_BYTES, mediaBytes - middle);
        if (byteLength < expected) throw new Error(`${byteLength} bytes came instead of ${expected}.`);
        return tookMs;
      }
      const error = fromErrorBody((await response.json()) as ErrorBody);
      if (error.code !== 'RECORDING_NOT_READY' || performance.now() - startedMs > READY_TIMEOUT_MS)
        throw error;
      await nextTurn();
    }
  },

  /** Resolves when the relay has no more work with the recording. */
  async untilSettled(_: undefined): Promise<void> {
    const isOver = ({ state }: Derivative): boolean => state === 'done' || state === 'failed';
    const deadlineMs = performance.now() + SETTLE_TIMEOUT_MS;
    for (;;) {
      const { recordingId } = publisher;
      const { state, failure, derivatives } = await admin.call('recording', { params: { recordingId } });
      if (state === 'sealed' && derivatives.every(isOver)) return;
      if (state === 'failed' || performance.now() > deadlineMs) {
        throw new Error(`The recording is ${state}: ${failure?.message}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  },
};

export type RecordingLoad = typeof handlers;

serveHelper(handlers);
