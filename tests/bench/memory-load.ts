/** A stream at its real pace with many viewers, and one of many hours in one go. Runs beside the benchmark as a helper. */
import { setTimeout as wait } from 'node:timers/promises';
import { signInAdmin } from './bench-relay.ts';
import { serveHelper } from './helper-process.ts';
import { enrolPublishers, LoadPublisher, sharePayload } from './load-publisher.ts';
import { LoadViewers, openViewer } from './load-viewers.ts';
import { CLUSTER_MS, RecorderStream } from './recorder-stream.ts';

const SLICE_MS = 250;
const BITS_PER_SECOND = 1_000_000;
/** As few as the pictures allow: memory does not depend on it, the time that the benchmark takes does. */
const SMALLEST = 1;
/** Chunks that may wait for the disk while a whole recording is uploaded at once. */
const MAX_BEHIND = 200;

let url: string;
let live: { publisher: LoadPublisher; stream: RecorderStream } | null = null;
const viewers = new LoadViewers();

const handlers = {
  /** Begins to publish. */
  async publish(options: { url: string }): Promise<void> {
    url = options.url;
    const [seat] = await enrolPublishers(await signInAdmin(url), 1);
    const publisher = await LoadPublisher.open(url, seat!);
    live = { publisher, stream: new RecorderStream({ bitsPerSecond: BITS_PER_SECOND }) };
    for (let ms = 0; ms < 2 * CLUSTER_MS; ms += SLICE_MS) sendSlice();
    await publisher.untilDurable();
  },

  /** Adds viewers of the stream; `stuck` more never read what they are sent. */
  async addViewers({ count, stuck }: { count: number; stuck: number }): Promise<void> {
    const admin = await signInAdmin(url);
    const { streamId } = live!.publisher;
    await viewers.watch(admin, streamId, count);
    for (let index = 0; index < stuck; index++) (await openViewer(admin, streamId)).stopReading();
  },

  /** Publishes for so long at the pace of a recorder. Throws when a viewer that reads misses anything. */
  async stream({ durationMs }: { durationMs: number }): Promise<{ slowestMs: number }> {
    let slowestMs = 0;
    const startMs = performance.now();
    for (let sent = 0; sent * SLICE_MS < durationMs; sent++) {
      await wait(Math.max(0, startMs + sent * SLICE_MS - performance.now()));
      const sentMs = performance.now();
      await viewers.untilAllHave(sendSlice());
      slowestMs = Math.max(slowestMs, performance.now() - sentMs);
    }
    return { slowestMs };
  },

  /** Uploads another recording of so many hours as fast as the relay takes it; it stays open. */
  async uploadHours({ hours }: { hours: number }): Promise<{ chunks: number }> {
    const [seat] = await enrolPublishers(await signInAdmin(url), 1);
    const durationMs = hours * 3_600_000;
    const startedAtUs = (Date.now() - durationMs) * 1000;
    const publisher = await LoadPublisher.open(url, seat!, startedAtUs);
    const stream = new RecorderStream({ bitsPerSecond: SMALLEST });
    for (let ms = 0; ms < durationMs; ms += SLICE_MS) {
      publisher.send(sharePayload('media', stream.take(SLICE_MS)), startedAtUs + (ms + SLICE_MS) * 1000);
      await publisher.untilBehindBy(MAX_BEHIND);
    }
    await publisher.untilDurable();
    return { chunks: publisher.sentCount };
  },
};

export type MemoryLoad = typeof handlers;

function sendSlice(): number {
  const { publisher, stream } = live!;
  return publisher.send(sharePayload('media', stream.take(SLICE_MS)), Date.now() * 1000);
}

serveHelper(handlers);
