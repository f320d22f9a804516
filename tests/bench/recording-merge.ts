/**
 * `recording.merge`: writing the file of a recording from its journal (cues in front, SHA-256 on the way), against
 * `ffmpeg -c copy` of the recorder's bytes. Both end with the file on disk.
 */
import { mkdtemp, open, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeRopeFile } from '../../relay/src/recording/rope-file.ts';
import { JournaledRecording } from '../../relay/testing/journaled-recording.ts';
import { run as runProgram } from '../harness/stamp-readers.ts';
import {
  measurePairs,
  median,
  type Benchmark,
  type BenchmarkOptions,
  type BenchmarkResult,
  type ByEffort,
} from './benchmark.ts';
import { RecorderStream } from './recorder-stream.ts';

const BITS_PER_SECOND = 2_000_000;
const SLICE_MS = 2000;
const DURATION_MS: ByEffort<number> = { quick: 10_000, usual: 1_200_000, long: 3_600_000 };
const PAIRS: ByEffort<number> = { quick: 1, usual: 7, long: 11 };
const GOAL_RATIO = 0.5;

export const recordingMerge: Benchmark = { names: ['recording.merge'], run };

async function run({ effort, note }: BenchmarkOptions): Promise<BenchmarkResult[]> {
  await using stack = new AsyncDisposableStack();
  const removeFolder = (path: string) => rm(path, { recursive: true, force: true });
  const folder = stack.adopt(await mkdtemp(join(tmpdir(), 'proofcast-bench-')), removeFolder);
  const recording = stack.adopt(await JournaledRecording.create(), (it) => it.close());
  const original = join(folder, 'original.webm');
  await record(recording, { path: original, durationMs: DURATION_MS[effort] });

  const { value, baseline, ratio, ratios } = await measurePairs({
    pairs: PAIRS[effort],
    subject: async () => {
      const path = join(folder, 'rope.webm');
      const startedMs = performance.now();
      const temporaryPath = `${path}.part`;
      await writeRopeFile({
        rope: recording.rope(),
        temporaryPath,
        path,
        signal: new AbortController().signal,
      });
      const tookMs = performance.now() - startedMs;
      note(`rope: ${tookMs.toFixed(0)} ms`);
      await rm(path);
      return tookMs;
    },
    baseline: async () => {
      const path = join(folder, 'copy.webm');
      const startedMs = performance.now();
      await runProgram('ffmpeg', ['-v', 'error', '-i', original, '-c', 'copy', path]);
      await sync(path);
      const tookMs = performance.now() - startedMs;
      note(`ffmpeg: ${tookMs.toFixed(0)} ms`);
      await rm(path);
      return tookMs;
    },
  });
  const diskMs: number[] = [];
  for (let pair = 0; pair < PAIRS[effort]; pair++)
    diskMs.push(await timeDisk(original, join(folder, 'plain')));
  const megabytes = ((await stat(original)).size / 1e6).toFixed(0);
  return [
    {
      name: 'recording.merge',
      value,
      unit: 'ms',
      baseline,
      ratio,
      goal: `≤ ${GOAL_RATIO}×`,
      met: ratio <= GOAL_RATIO,
      conditions: `${ratios.length} pairs, a recording of ${DURATION_MS[effort] / 60_000} min with ${megabytes} MB; head, cues, SHA-256 and fsync included; baseline: ffmpeg -c copy of the recorder's bytes and fsync; ratios ${Math.min(...ratios).toFixed(2)}–${Math.max(...ratios).toFixed(2)}; the disk alone takes ${median(diskMs).toFixed(0)} ms for as many bytes from memory`,
    },
  ];
}

/** The same bytes into the journal and, as the recorder gave them, into a file. */
async function record(
  recording: JournaledRecording,
  { path, durationMs }: { path: string; durationMs: number },
): Promise<void> {
  const stream = new RecorderStream({ bitsPerSecond: BITS_PER_SECOND });
  recording.epoch();
  for (let ms = 0; ms < durationMs; ms += SLICE_MS) {
    const slice = stream.take(SLICE_MS);
    recording.media([slice]);
    await recording.flush();
    await writeFile(path, slice, { flag: 'a' });
  }
  await sync(path);
}

/** What no way of writing so much can do without. */
async function timeDisk(source: string, path: string): Promise<number> {
  const bytes = await readFile(source);
  const startedMs = performance.now();
  await writeFile(path, bytes, { flush: true });
  const tookMs = performance.now() - startedMs;
  await rm(path);
  return tookMs;
}

async function sync(path: string): Promise<void> {
  const file = await open(path, 'r+');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
