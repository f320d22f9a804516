/**
 * `relay.memory.viewer`, `.stream`, `.growth`: what the relay holds after a garbage collection, for a viewer when there
 * are a thousand of one stream and one of them never reads, for a stream that has been recorded for eight hours, and
 * how much that grows while nothing is added.
 */
import { startBenchRelay } from './bench-relay.ts';
import {
  median,
  slope,
  type Benchmark,
  type BenchmarkOptions,
  type BenchmarkResult,
  type ByEffort,
} from './benchmark.ts';
import { startHelper } from './helper-process.ts';
import { InspectedMemory, type MemoryReading } from './inspected-memory.ts';
import type { MemoryLoad } from './memory-load.ts';

const VIEWERS: ByEffort<number> = { quick: 20, usual: 1000, long: 1000 };
const HOURS: ByEffort<number> = { quick: 0.1, usual: 8, long: 8 };
/** Until the viewer that does not read was cut off and everybody's first pictures are forgotten. */
const SETTLE_MS: ByEffort<number> = { quick: 500, usual: 20_000, long: 60_000 };
const SAMPLES: ByEffort<number> = { quick: 3, usual: 10, long: 60 };
const SAMPLE_MS: ByEffort<number> = { quick: 500, usual: 6000, long: 10_000 };

const KIB = 1024;
const MIB = 1024 * KIB;
const GOAL_VIEWER_KIB = 64;
const GOAL_STREAM_MIB = 8;
/** Of what is held at the beginning; a minute's index of one stream is a few KiB. */
const GOAL_GROWTH_PERCENT = 3;

export const relayMemory: Benchmark = {
  names: ['relay.memory.viewer', 'relay.memory.stream', 'relay.memory.growth'],
  run,
};

async function run({ effort, note }: BenchmarkOptions): Promise<BenchmarkResult[]> {
  await using stack = new AsyncDisposableStack();
  const relay = stack.adopt(await startBenchRelay({ isInspected: true }), (it) => it.close());
  const load = stack.adopt(startHelper<MemoryLoad>('memory-load.ts'), (it) => it.close());
  const memory = stack.adopt(await InspectedMemory.open(relay.inspectorUrl!, relay.pid), (it) => it.close());
  const readAndSay = async (what: string): Promise<MemoryReading> => {
    const reading = await memory.read();
    note(`${what}: live ${mib(reading.liveBytes)} MiB, anonymous ${mib(reading.anonymousBytes)} MiB`);
    return reading;
  };

  await load.call('publish', { url: relay.url });
  await load.call('stream', { durationMs: 0 });
  const before = await readAndSay('one stream, no viewer');
  const count = VIEWERS[effort];
  await load.call('addViewers', { count: count - 1, stuck: 1 });
  await load.call('stream', { durationMs: SETTLE_MS[effort] });
  const samples: { readonly atMs: number; readonly reading: MemoryReading }[] = [];
  let slowestMs = 0;
  for (let sample = 0; sample < SAMPLES[effort]; sample++) {
    const streamed = await load.call('stream', { durationMs: SAMPLE_MS[effort] });
    slowestMs = Math.max(slowestMs, streamed.slowestMs);
    samples.push({ atMs: performance.now(), reading: await readAndSay(`${count} viewers`) });
  }
  const watched = median(samples.map(({ reading }) => reading.anonymousBytes));
  const perViewer = (watched - before.anonymousBytes) / count / KIB;
  const livePerViewer =
    (median(samples.map(({ reading }) => reading.liveBytes)) - before.liveBytes) / count / KIB;

  const beforeHours = await readAndSay('before the long recording');
  const { chunks } = await load.call('uploadHours', { hours: HOURS[effort] });
  const afterHours = await readAndSay(`after ${chunks} chunks`);
  const perStream = (afterHours.liveBytes - beforeHours.liveBytes) / MIB;

  const first = samples[0]!;
  const overMs = samples.at(-1)!.atMs - first.atMs;
  const perMs = slope(samples.map(({ atMs, reading }) => ({ x: atMs, y: reading.liveBytes })));
  const growth = ((perMs * overMs) / first.reading.liveBytes) * 100;
  const conditions = `${count} viewers of one stream of 1 Mbps in slices of 250 ms, one of which never reads; the others missed nothing, the slowest slice reached all within ${slowestMs.toFixed(0)} ms`;
  return [
    {
      name: 'relay.memory.viewer',
      value: perViewer,
      unit: 'KiB',
      baseline: null,
      ratio: null,
      goal: `≤ ${GOAL_VIEWER_KIB} KiB`,
      met: perViewer <= GOAL_VIEWER_KIB,
      conditions: `${conditions}; anonymous memory of the process after garbage collection, of which alive ${livePerViewer.toFixed(1)} KiB`,
    },
    {
      name: 'relay.memory.stream',
      value: perStream,
      unit: 'MiB',
      baseline: null,
      ratio: null,
      goal: `≤ ${GOAL_STREAM_MIB} MiB`,
      met: perStream <= GOAL_STREAM_MIB,
      conditions: `one live recording of ${HOURS[effort]} h watched all the time: ${chunks} chunks, a cluster every 2 s, 30 pictures a second; alive after garbage collection, anonymous memory grew by ${mib(afterHours.anonymousBytes - beforeHours.anonymousBytes)} MiB`,
    },
    {
      name: 'relay.memory.growth',
      value: growth,
      unit: '%',
      baseline: null,
      ratio: null,
      goal: `≤ ${GOAL_GROWTH_PERCENT} %`,
      met: growth <= GOAL_GROWTH_PERCENT,
      conditions: `trend of what is alive over ${(overMs / 60_000).toFixed(1)} min (${samples.length} samples) with ${conditions}`,
    },
  ];
}

function mib(bytes: number): string {
  return (bytes / MIB).toFixed(1);
}
