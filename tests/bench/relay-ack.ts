/**
 * `relay.ack.p99`, `.watched`: from sending a chunk to the acknowledgement that it is on disk, against what the disk
 * alone needs: append and `fdatasync` of the same bytes. Chunk by chunk in turns on the same disk, so that what the disk
 * does beside meets both alike.
 */
import { open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { signInAdmin, startBenchRelay, type BenchRelay } from './bench-relay.ts';
import {
  percentile,
  type Benchmark,
  type BenchmarkOptions,
  type BenchmarkResult,
  type ByEffort,
} from './benchmark.ts';
import { startHelper } from './helper-process.ts';
import { enrolPublishers, LoadPublisher, sharePayload } from './load-publisher.ts';
import { CLUSTER_MS, RecorderStream } from './recorder-stream.ts';
import type { ViewersLoad } from './viewers-load.ts';

const BITS_PER_SECOND = 2_000_000;
/** As recorders deliver while somebody watches. */
const SLICE_MS = 250;
/** Each is sent after the one before is durable, as a lone publisher does. */
const CHUNKS: ByEffort<number> = { quick: 10, usual: 400, long: 2000 };
const VIEWERS: ByEffort<number> = { quick: 4, usual: 64, long: 64 };
/** The goal of the design: twice the disk, and what a group commit may wait. */
const GOAL_FACTOR = 2;
const GOAL_MARGIN_MS = 50;

export const relayAck: Benchmark = { names: ['relay.ack.p99', 'relay.ack.p99.watched'], run };

async function run(options: BenchmarkOptions): Promise<BenchmarkResult[]> {
  await using stack = new AsyncDisposableStack();
  const relay = stack.adopt(await startBenchRelay(), (it) => it.close());
  const unwatched = await measure(relay, { name: 'relay.ack.p99', viewers: 0, options });
  const viewers = VIEWERS[options.effort];
  return [unwatched, await measure(relay, { name: 'relay.ack.p99.watched', viewers, options })];
}

async function measure(
  relay: BenchRelay,
  given: { name: string; viewers: number; options: BenchmarkOptions },
): Promise<BenchmarkResult> {
  const { viewers, name } = given;
  await using stack = new AsyncDisposableStack();
  const [seat] = await enrolPublishers(await signInAdmin(relay.url), 1);
  const publisher = stack.adopt(await LoadPublisher.open(relay.url, seat!), (it) => it.destroy());
  const file = stack.adopt(await open(join(relay.dataDir, name), 'a'), (it) => it.close());
  const stream = new RecorderStream({ bitsPerSecond: BITS_PER_SECOND });
  await timeRelay(publisher, stream.take(CLUSTER_MS));
  const load = stack.adopt(startHelper<ViewersLoad>('viewers-load.ts'), (it) => it.close());
  await load.call('watch', { url: relay.url, streamId: publisher.streamId, count: viewers });

  const relayMs: number[] = [];
  const diskMs: number[] = [];
  for (let chunk = 0; chunk < CHUNKS[given.options.effort]; chunk++) {
    const slice = stream.take(SLICE_MS);
    relayMs.push(await timeRelay(publisher, slice));
    diskMs.push(await timeDisk(file, slice));
  }
  const value = percentile(relayMs, 0.99);
  const baseline = percentile(diskMs, 0.99);
  const medians = `${percentile(relayMs, 0.5).toFixed(1)} and ${percentile(diskMs, 0.5).toFixed(1)} ms`;
  return {
    name,
    value,
    unit: 'ms',
    baseline,
    ratio: value / baseline,
    goal: `≤ ${GOAL_FACTOR}× + ${GOAL_MARGIN_MS} ms`,
    met: value <= GOAL_FACTOR * baseline + GOAL_MARGIN_MS,
    conditions: `${relayMs.length} chunks of 62.5 KB of one stream with ${viewers} viewers, each sent when the one before was durable, so that each waits for the next common round of syncs (50 ms); baseline: append + fdatasync in turns with it; medians ${medians}`,
  };
}

async function timeRelay(publisher: LoadPublisher, slice: Uint8Array): Promise<number> {
  const payload = sharePayload('media', slice);
  const startedMs = performance.now();
  publisher.send(payload, Date.now() * 1000);
  await publisher.untilDurable();
  return performance.now() - startedMs;
}

async function timeDisk(file: FileHandle, slice: Uint8Array): Promise<number> {
  const startedMs = performance.now();
  await file.appendFile(slice);
  await file.datasync();
  return performance.now() - startedMs;
}
