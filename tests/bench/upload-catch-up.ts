/**
 * `upload.catchup`: after a cut of the network, how many seconds of recording reach the relay in a second, until it has
 * all but what is always on its way. Counted from the moment at which the network works again.
 */
import { setTimeout as wait } from 'node:timers/promises';
import type { Benchmark, BenchmarkOptions, BenchmarkResult, ByEffort } from './benchmark.ts';
import { CapturedScreen } from './captured-screen.ts';

const BEFORE_MS: ByEffort<number> = { quick: 6_000, usual: 10_000, long: 10_000 };
const CUT_MS: ByEffort<number> = { quick: 8_000, usual: 60_000, long: 300_000 };
/** Two slices of the recorder, and a cluster that is not whole. */
const ALWAYS_BEHIND_MS = 6_000;
const POLL_MS = 20;
const TIMEOUT_MS = 300_000;
const GOAL_RATE = 4;

export const uploadCatchUp: Benchmark = { names: ['upload.catchup'], run };

async function run({ effort, note }: BenchmarkOptions): Promise<BenchmarkResult[]> {
  await using screen = await CapturedScreen.open();
  await screen.share();
  await wait(BEFORE_MS[effort]);
  await screen.cable.cut();
  note(`cut for ${CUT_MS[effort]} ms`);
  await wait(CUT_MS[effort]);
  const endBeforeMs = await recordedUntilMs(screen);
  await screen.cable.mend();
  const mendedMs = Date.now();
  let firstMs: number | null = null;
  let endMs = endBeforeMs;
  while (Date.now() - endMs > ALWAYS_BEHIND_MS) {
    if (Date.now() - mendedMs > TIMEOUT_MS) throw new Error('The app has not caught up in time.');
    await wait(POLL_MS);
    endMs = await recordedUntilMs(screen);
    if (endMs > endBeforeMs) firstMs ??= Date.now() - mendedMs;
  }
  const tookMs = Date.now() - mendedMs;
  const rate = (endMs - endBeforeMs) / tookMs;
  const { recordings } = await screen.admin.call('recordings');
  if (recordings.length !== 1) throw new Error(`The cut has made ${recordings.length} recordings of one.`);
  return [
    {
      name: 'upload.catchup',
      value: rate,
      unit: '× real time',
      baseline: null,
      ratio: null,
      goal: `≥ ${GOAL_RATE}×`,
      met: rate >= GOAL_RATE,
      conditions: `a really captured screen, the network to the relay cut for ${CUT_MS[effort] / 1000} s; caught up ${tookMs} ms after it was mended, of which ${firstMs ?? 0} ms until the first of it was on the relay's disk (the app waits before it connects again); one recording`,
    },
  ];
}

/** Publisher's clock at the newest picture that the relay has on disk. */
async function recordedUntilMs({ admin }: CapturedScreen): Promise<number> {
  const { recordings } = await admin.call('recordings');
  const { recordingId } = recordings[0]!;
  const { parts } = await admin.call('recording', { params: { recordingId } });
  const last = parts.at(-1);
  return last === undefined ? 0 : last.startedAtMs + last.durationMs;
}
