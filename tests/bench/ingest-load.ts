/**
 * Many publishers that upload the same pictures, each as a recording of its own, at the pace of real recorders. Runs
 * beside the benchmark as a helper.
 */
import { setTimeout as wait } from 'node:timers/promises';
import { signInAdmin } from './bench-relay.ts';
import { percentile } from './benchmark.ts';
import { serveHelper } from './helper-process.ts';
import { enrolPublishers, LoadPublisher, sharePayload, type SharedPayload } from './load-publisher.ts';
import { cpuSeconds, starvedSeconds } from './process-usage.ts';
import { RecorderStream } from './recorder-stream.ts';

/** How often it is looked whose slice is due. */
const TICK_MS = 5;

export interface IngestLoadOptions {
  readonly url: string;
  /** Of the relay. */
  readonly pid: number;
  readonly bitsPerSecond: number;
  readonly sliceMs: number;
}

export interface IngestRun {
  /** From sending a chunk to the acknowledgement that it is durable. */
  readonly ackP50Ms: number;
  readonly ackP99Ms: number;
  /** From the last chunk until all are durable. */
  readonly drainMs: number;
  /** How late this process was with sending; if that is much, the run says nothing about the relay. */
  readonly lateP99Ms: number;
  /** CPU time of the relay for a second of this load. */
  readonly cpuPerSecond: number;
  /** How much of a second it was ready to run and others had the cores. */
  readonly starvedPerSecond: number;
}

interface Upload {
  readonly publisher: LoadPublisher;
  nextSlice: number;
  /** When each chunk that is not durable was sent, oldest first. */
  readonly sentAtMs: number[];
  durable: number;
}

let given: IngestLoadOptions;
let stream: RecorderStream;
const slices: SharedPayload[] = [];
const uploads: Upload[] = [];
let ackMs: number[] = [];

const handlers = {
  begin(options: IngestLoadOptions): void {
    given = options;
    stream = new RecorderStream({ bitsPerSecond: options.bitsPerSecond });
  },

  /** Connects publishers until there are `count`. */
  async open({ count }: { count: number }): Promise<void> {
    const admin = await signInAdmin(given.url);
    for (const seat of await enrolPublishers(admin, count - uploads.length)) {
      uploads.push(track(await LoadPublisher.open(given.url, seat)));
    }
    await Promise.all(uploads.map(({ publisher }) => publisher.untilDurable()));
  },

  /** Lets the first `count` publishers upload for so long, after as long as one slice of warming up. */
  async run({ count, durationMs }: { count: number; durationMs: number }): Promise<IngestRun> {
    const active = uploads.slice(0, count);
    const lateMs: number[] = [];
    const startMs = performance.now();
    const warmMs = startMs + given.sliceMs;
    const gapMs = given.sliceMs / count;
    const total = Math.round((given.sliceMs + durationMs) / gapMs);
    let before: { readonly cpu: number; readonly starved: number } | null = null;
    for (let sent = 0; sent < total;) {
      const nowMs = performance.now();
      if (before === null && nowMs >= warmMs) {
        before = { cpu: cpuSeconds(given.pid), starved: starvedSeconds(given.pid) };
        ackMs = [];
        lateMs.length = 0;
      }
      for (; sent < total && startMs + sent * gapMs <= nowMs; sent++) {
        lateMs.push(nowMs - (startMs + sent * gapMs));
        sendSlice(active[sent % count]!);
      }
      await wait(TICK_MS);
    }
    const endMs = performance.now();
    const measuredS = (endMs - warmMs) / 1000;
    const cpuPerSecond = (cpuSeconds(given.pid) - (before?.cpu ?? 0)) / measuredS;
    const starvedPerSecond = (starvedSeconds(given.pid) - (before?.starved ?? 0)) / measuredS;
    await Promise.all(active.map(({ publisher }) => publisher.untilDurable()));
    return {
      ackP50Ms: percentile(ackMs, 0.5),
      ackP99Ms: percentile(ackMs, 0.99),
      drainMs: performance.now() - endMs,
      lateP99Ms: percentile(lateMs, 0.99),
      cpuPerSecond,
      starvedPerSecond,
    };
  },
};

export type IngestLoad = typeof handlers;

function track(publisher: LoadPublisher): Upload {
  const upload: Upload = { publisher, nextSlice: 0, sentAtMs: [performance.now()], durable: 0 };
  publisher.onDurable = (count) => {
    for (; upload.durable < count; upload.durable++) {
      ackMs.push(performance.now() - upload.sentAtMs.shift()!);
    }
  };
  return upload;
}

function sendSlice(upload: Upload): void {
  const index = upload.nextSlice++;
  while (slices.length <= index) slices.push(sharePayload('media', stream.take(given.sliceMs)));
  const { publisher } = upload;
  upload.sentAtMs.push(performance.now());
  publisher.send(slices[index]!, publisher.startedAtUs + (index + 1) * given.sliceMs * 1000);
}

serveHelper(handlers);
