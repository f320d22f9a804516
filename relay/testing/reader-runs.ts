/**
 * The oracle of what a reader was sent: rules V3, V4 and V8 to V12, whoever sent it. A run is what follows one init
 * segment: bytes of one epoch without a hole, from a key cluster on.
 */
import type { Chunk, ViewerFrame } from '@proofcast/shared';
import { RecordingIndex } from '../src/recording/recording-index.ts';
import type { SinkEvent } from './collecting-sink.ts';

export interface ReaderRun {
  readonly epoch: number;
  readonly isDiscontinuity: boolean;
  readonly start: number;
  /** Behind the last byte. */
  end: number;
}

/** One of kind `control` has no business here. */
export type SentFrame = Omit<ViewerFrame, 'channel'>;

/** The original bytes of each epoch, and the index that the relay has made of them. */
export interface Original {
  readonly epochs: readonly Uint8Array[];
  readonly index: RecordingIndex;
}

/** Throws when the frames are not what the rules say; `what` stands in the message. */
export function readRuns(frames: readonly SentFrame[], original: Original, what: string): ReaderRun[] {
  const runs: ReaderRun[] = [];
  let pending: Omit<ReaderRun, 'start' | 'end'> | null = null;
  let run: ReaderRun | null = null;
  for (const [number, frame] of frames.entries()) {
    const fail = (because: string): never => {
      throw new Error(`${what}: frame ${number} (${frame.kind} of chunk ${frame.sequence}): ${because}.`);
    };
    const bytes = original.epochs[frame.epoch] ?? fail('there is no such epoch');
    if (frame.kind === 'init') {
      const init = original.index.epochs[frame.epoch]?.init ?? fail('the epoch has no init segment');
      if (!equal(frame.payload, init) || !equal(init, bytes.subarray(0, init.length))) {
        fail('it is not the init segment');
      }
      if (frame.isDiscontinuity !== number > 0) fail('all init segments but the first are discontinuities');
      pending = { epoch: frame.epoch, isDiscontinuity: frame.isDiscontinuity };
      run = null;
      continue;
    }
    if (frame.kind === 'control') fail('it is no media');
    if (frame.isDiscontinuity) fail('media is no discontinuity');
    if (frame.payload.length === 0) fail('it is empty');
    if (run === null) {
      if (pending?.epoch !== frame.epoch) fail('no init segment of its epoch came before');
      const start = findKeyStart(frame, original) ?? fail('it does not begin at a key cluster');
      run = { ...(pending as Omit<ReaderRun, 'start' | 'end'>), start, end: start };
      runs.push(run);
    }
    if (run.epoch !== frame.epoch) fail('its epoch is not that of the init segment');
    if (!equal(frame.payload, bytes.subarray(run.end, run.end + frame.payload.length))) {
      fail(`its bytes are not those from ${run.end} on`);
    }
    run.end += frame.payload.length;
    const entry = original.index.entry(frame.sequence) ?? fail('there is no such chunk');
    if (run.end <= entry.streamStart || run.end > entry.streamEnd) fail('its last byte is of another chunk');
    if (frame.captureTimeUs !== entry.captureTimeUs) fail('it has the time of another chunk');
  }
  return runs;
}

/** Also checks that each epoch is told before its init segment, and that a held reader is sent nothing. */
export function checkSinkLog(log: readonly SinkEvent[], original: Original, what: string): ReaderRun[] {
  const frames: SentFrame[] = [];
  let toldEpoch: number | null = null;
  let isHeld = false;
  for (const [number, event] of log.entries()) {
    const fail = (because: string): never => {
      throw new Error(`${what}: event ${number}: ${because}.`);
    };
    switch (event.type) {
      case 'command':
        isHeld = false;
        break;
      case 'epoch':
        if (isHeld) fail('an epoch begins for a reader that is held');
        if (toldEpoch === event.epoch.number) fail('the epoch was told already');
        toldEpoch = event.epoch.number;
        break;
      case 'frame':
        if (isHeld) fail('a frame for a reader that is held');
        if (toldEpoch !== event.frame.epoch) fail('a frame of an epoch that was not told');
        frames.push(event.frame);
        break;
      case 'held':
        isHeld = true;
        checkHeld(event.atUs, { runs: readRuns(frames, original, what), original, fail });
        break;
      case 'ended':
        if (log.slice(number + 1).some(({ type }) => type !== 'command'))
          fail('something comes after the end');
        break;
    }
  }
  return readRuns(frames, original, what);
}

/** A reader is held where a key cluster begins: behind its last byte, or at the beginning of a later epoch. */
function checkHeld(
  atUs: number,
  { runs, original, fail }: { runs: ReaderRun[]; original: Original; fail: (because: string) => never },
): void {
  const last = runs.at(-1);
  if (last === undefined) return;
  const isHere = allKeyPoints(original).some(
    ({ epoch, streamStart, timeUs }) =>
      timeUs === atUs && (epoch > last.epoch || (epoch === last.epoch && streamStart === last.end)),
  );
  if (!isHere)
    fail(`held at ${atUs}, which is not what comes behind byte ${last.end} of epoch ${last.epoch}`);
}

export function allKeyPoints({
  index,
}: Pick<Original, 'index'>): { epoch: number; streamStart: number; timeUs: number }[] {
  const points = [];
  for (let at = index.keyPointAt(0); at !== null; at = index.nextKeyPoint(at)) points.push(at);
  return points;
}

function findKeyStart({ sequence, epoch, payload }: SentFrame, original: Original): number | null {
  const entry = original.index.entry(sequence);
  const bytes = original.epochs[epoch];
  if (entry === null || bytes === undefined) return null;
  const starts = allKeyPoints(original).flatMap((point) =>
    point.epoch === epoch ? [point.streamStart] : [],
  );
  // Clusters begin alike; where the frame ends tells them apart: with its chunk, or before another key cluster.
  const found = starts.find((start) => {
    const end = start + payload.length;
    const isPossible = start >= entry.streamStart && (end === entry.streamEnd || starts.includes(end));
    return isPossible && equal(payload, bytes.subarray(start, end));
  });
  return found ?? null;
}

function equal(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0;
}

/** What a publisher has made so far, as the original of what its viewers get. */
export function originalOf(chunks: readonly Chunk[]): Original {
  const index = new RecordingIndex({ chain: new Uint8Array(32), maxChunks: 100_000 });
  const parts: Uint8Array[][] = [];
  for (const chunk of chunks) {
    index
      .check({ ...chunk, receivedAtUs: chunk.captureTimeUs })
      .store({ isDurable: false, place: { kind: 'memory', bytes: chunk.payload } });
    const ofEpoch = (parts[chunk.epoch] ??= []);
    if (chunk.kind === 'media') ofEpoch.push(chunk.payload);
  }
  return { index, epochs: parts.map((ofEpoch) => Buffer.concat(ofEpoch)) };
}
