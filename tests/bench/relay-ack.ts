/**
 * `relay.ack.p99`: from sending a chunk to the acknowledgement that it is on disk, against what the disk alone needs:
 * append and `fdatasync` of the same bytes. Both in turns on the same disk, so that noise meets both alike.
 */
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadWebmClip } from '@proofcast/shared/testing/webm-clip';
import { ChunkMaker } from '../../relay/testing/chunk-maker.ts';
import { TestDevice } from '../../relay/testing/test-device.ts';
import { TestPublisher } from '../../relay/testing/test-publisher.ts';
import { startTestRelay, type TestRelay } from '../../relay/testing/test-relay.ts';
import { percentile, type Benchmark, type BenchmarkResult } from './benchmark.ts';

const PAIRS = 5;
/** Chunks a pair; each is sent after the one before is durable, as a lone publisher does. */
const CHUNKS = 60;
/** The goal of the design: twice the disk, and what a group commit may wait. */
const GOAL_FACTOR = 2;
const GOAL_MARGIN_MS = 50;

export const relayAck: Benchmark = { names: ['relay.ack.p99'], run };

async function run(): Promise<BenchmarkResult[]> {
  const folder = await mkdtemp(join(tmpdir(), 'proofcast-bench-'));
  const relay = await startTestRelay();
  try {
    const relayMs: number[] = [];
    const diskMs: number[] = [];
    for (let pair = 0; pair < PAIRS; pair++) {
      const payloads = cutClip();
      relayMs.push(...(await measureRelay(relay, payloads)));
      diskMs.push(...(await measureDisk(join(folder, `${pair}`), payloads)));
    }
    const value = percentile(relayMs, 0.99);
    const baseline = percentile(diskMs, 0.99);
    return [
      {
        name: 'relay.ack.p99',
        value,
        unit: 'ms',
        baseline,
        ratio: value / baseline,
        goal: '≤ 2× + 50 ms',
        met: value <= GOAL_FACTOR * baseline + GOAL_MARGIN_MS,
        conditions: `${PAIRS} pairs of ${CHUNKS} chunks, one stream, chunks of ${cutClip()[0]!.length} bytes of a real recording; baseline: append + fdatasync`,
      },
    ];
  } finally {
    await relay.close();
    await rm(folder, { recursive: true, force: true });
  }
}

/** A real recording, cut into as many chunks as a run needs. */
function cutClip(): Uint8Array[] {
  const { bytes } = loadWebmClip('vp8');
  const size = Math.ceil(bytes.length / CHUNKS);
  return Array.from({ length: CHUNKS }, (_, index) =>
    bytes.subarray(index * size, (index + 1) * size),
  ).filter((payload) => payload.length > 0);
}

async function measureRelay(relay: TestRelay, payloads: readonly Uint8Array[]): Promise<number[]> {
  const device = await TestDevice.enrol(await relay.signInAdmin());
  const { streamId, ingest } = await device.publishTokens(relay.client());
  const maker = new ChunkMaker({ streamId, deviceId: device.deviceId });
  const socket = await relay
    .client()
    .open('ingest', { headers: { authorization: `Bearer ${ingest.token}` } });
  const publisher = new TestPublisher(socket, maker);
  await publisher.hello();
  maker.epoch();
  publisher.upload();
  await publisher.untilDurable();
  const durations: number[] = [];
  for (const payload of payloads) {
    const from = maker.chunks.length;
    maker.media(payload);
    const startedMs = performance.now();
    publisher.upload(from);
    await publisher.untilDurable();
    durations.push(performance.now() - startedMs);
  }
  await publisher.stop();
  socket.terminate();
  return durations;
}

async function measureDisk(path: string, payloads: readonly Uint8Array[]): Promise<number[]> {
  const file = await open(path, 'a');
  const durations: number[] = [];
  for (const payload of payloads) {
    const startedMs = performance.now();
    await file.appendFile(payload);
    await file.datasync();
    durations.push(performance.now() - startedMs);
  }
  await file.close();
  return durations;
}
