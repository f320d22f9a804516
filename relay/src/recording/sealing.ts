/**
 * What happens to recordings that have ended: those that nothing can follow are merged into files at once, those whose
 * publisher may come back after a while; a few at a time, the companies in turn. Until its files are checked and noted, a
 * recording lives in its journal; then the journal goes.
 */
import type { Logger } from 'pino';
import { CodedError, toCodedError, type Id } from '@proofcast/shared';
import { JournalDamagedError } from '../journal/journal-reader.ts';
import { secondsSince } from '../journal/journal-timings.ts';
import type { MediaClock } from '../media-clock.ts';
import type { MediaCounts } from '../metrics/media-counts.ts';
import type { RecordingCatalogue } from './catalogue.ts';
import type { EndedRecording, HeldRecording } from './ended-recordings.ts';
import { FairQueue } from './fair-queue.ts';
import type { OpenRecording } from './open-recording.ts';
import type { OpenRecordings } from './open-recordings.ts';
import { sealRecording, type SealOptions } from './seal.ts';
import { summarize } from './summary.ts';

export interface SealingLimits {
  readonly concurrentSeals: number;
  /** How long a recording stays in its journal for a publisher that was lost. */
  readonly provisionalKeepMs: number;
  /** So many of one stream wait for their publisher; the oldest beyond that is merged before its time. */
  readonly maxOpenRecordingsPerStream: number;
  /** Before the first further attempt after a failure; each later one waits twice as long, up to the second limit. */
  readonly sealRetryMs: number;
  readonly maxSealRetryMs: number;
  /** How long those who are reading from a journal when it goes may take. */
  readonly readerGraceMs: number;
}

export interface SealingOptions extends SealOptions {
  readonly catalogue: RecordingCatalogue;
  readonly recordings: OpenRecordings;
  readonly clock: MediaClock;
  readonly limits: SealingLimits;
  readonly counts: MediaCounts;
  readonly log: Logger;
  /** The files of a recording are there, and its journal is not needed any more. */
  readonly onSealed: (recordingId: Id) => void;
}

type Phase =
  /** Its end is being written into the database. */
  | { readonly kind: 'noting' }
  /** For its publisher, or for another attempt. */
  | { readonly kind: 'waiting'; readonly cancel: () => void }
  | { readonly kind: 'ready' }
  | { readonly kind: 'sealing'; readonly abort: AbortController }
  /** Somebody else has it now. */
  | { readonly kind: 'withdrawn' };

interface Entry {
  readonly ended: EndedRecording;
  phase: Phase;
  failures: number;
  work: Promise<void>;
}

const WITHDRAWN = new CodedError('UNAVAILABLE', 'The recording is needed elsewhere.');

export class SealingQueue {
  readonly #options: SealingOptions;
  readonly #entries = new Map<Id, Entry>();
  readonly #ready = new FairQueue<Entry>();
  readonly #running = new Set<Entry>();
  /** Recordings that were sealed and are still being read from their journals, and what ends the wait for that. */
  readonly #leaving = new Map<OpenRecording, () => void>();
  #isClosing = false;

  constructor(options: SealingOptions) {
    this.#options = options;
  }

  get runningCount(): number {
    return this.#running.size;
  }

  /** Those whose turn has not come; without those that wait for a publisher or for another attempt. */
  get waitingCount(): number {
    return this.#ready.size;
  }

  /** Takes over a recording whose journal has its end. */
  take(recording: OpenRecording): void {
    const entry = this.#enter(this.#options.recordings.addEnded(recording));
    entry.work = this.#note(entry, recording);
  }

  /**
   * Lets go of a recording, in whatever it is doing, for a publisher that has come back or for who deletes it. Resolves
   * with what puts it back; null, when it was not here, or its files were made before it could be stopped.
   */
  async withdraw(recordingId: Id): Promise<(() => void) | null> {
    const entry = this.#entries.get(recordingId);
    if (entry === undefined) return null;
    this.#stop(entry);
    await entry.work;
    if (this.#entries.get(recordingId) !== entry) return null;
    this.#entries.delete(recordingId);
    return () => {
      if (!this.#isClosing) this.#schedule(this.#enter(entry.ended));
    };
  }

  /** Nothing more can come from the device: seals for good what waits for it. */
  async complete(deviceId: Id, atMs: number): Promise<void> {
    const waiting = [...this.#entries.values()].filter(
      ({ ended: { identity, ending } }) =>
        identity.deviceId === deviceId && ending.reason === 'publisher-lost',
    );
    for (const { ended } of waiting) await this.#completeOne(ended, atMs);
  }

  /** Resolves when nothing is being sealed or waits for its turn. */
  async whenIdle(): Promise<void> {
    for (;;) {
      const working = [...this.#entries.values()].filter(
        ({ phase: { kind } }) => kind === 'noting' || kind === 'sealing',
      );
      // One that is ready waits for one that is being sealed.
      if (working.length === 0) return;
      await Promise.race(working.map(({ work }) => work));
    }
  }

  /** Lets running seals end within `graceMs`, then cuts them off; they run again at the next start. Idempotent. */
  async close(graceMs: number): Promise<void> {
    this.#isClosing = true;
    this.#ready.clear();
    const entries = [...this.#entries.values()];
    for (const entry of entries)
      if (entry.phase.kind === 'waiting' || entry.phase.kind === 'ready') this.#stop(entry);
    const cancel = this.#options.clock.schedule(() => entries.forEach((entry) => this.#stop(entry)), graceMs);
    await Promise.all(entries.map(({ work }) => work));
    cancel();
    const leaving = [...this.#leaving.keys()];
    for (const stopWaiting of this.#leaving.values()) stopWaiting();
    this.#leaving.clear();
    await Promise.all(leaving.map((recording) => recording.close()));
    await this.#options.recordings.close();
    this.#entries.clear();
  }

  #enter(ended: EndedRecording): Entry {
    const entry: Entry = { ended, phase: { kind: 'noting' }, failures: 0, work: Promise.resolve() };
    this.#entries.set(ended.identity.recordingId, entry);
    return entry;
  }

  /** One that fails, or that somebody else is changing, keeps the others from nothing. */
  async #completeOne({ identity: { recordingId } }: EndedRecording, atMs: number): Promise<void> {
    const { recordings, log } = this.#options;
    try {
      const release = recordings.claim(recordingId);
      try {
        const putBack = await this.withdraw(recordingId);
        if (putBack !== null) await this.#endForGood(recordingId, { atMs, putBack });
      } finally {
        release();
      }
    } catch (error) {
      log.error({ recordingId, err: error }, 'cannot end a recording of a revoked device for good');
    }
  }

  async #endForGood(
    recordingId: Id,
    { atMs, putBack }: { atMs: number; putBack: () => void },
  ): Promise<void> {
    let held: HeldRecording | null = null;
    try {
      held = await this.#options.recordings.hold(recordingId);
      await held?.recording.end({ reason: 'device-revoked', atMs, publisherAtMs: null });
    } catch (error) {
      held?.release();
      putBack();
      throw error;
    }
    if (held === null) return;
    this.take(held.recording);
    held.release();
  }

  #stop(entry: Entry): void {
    const { phase, ended } = entry;
    entry.phase = { kind: 'withdrawn' };
    if (phase.kind === 'waiting') phase.cancel();
    if (phase.kind === 'ready') this.#ready.remove(ended.identity.companyId, entry);
    if (phase.kind === 'sealing') phase.abort.abort(WITHDRAWN);
  }

  async #note(entry: Entry, recording: OpenRecording): Promise<void> {
    const { catalogue, log } = this.#options;
    const { identity, ending, chunkCount } = entry.ended;
    const { recordingId } = identity;
    try {
      if (chunkCount === 0) return await this.#discard(entry);
      await catalogue.markEnded(recordingId, ending.reason, summarize(recording));
    } catch (error) {
      // The journal has it, and the next attempt at sealing notes it again.
      log.error({ recordingId, err: error }, 'cannot note that a recording ended');
    }
    if (entry.phase.kind === 'noting') this.#schedule(entry);
  }

  #schedule(entry: Entry): void {
    const { clock, limits } = this.#options;
    if (this.#isClosing) return this.#stop(entry);
    const { identity, ending } = entry.ended;
    if (ending.reason !== 'publisher-lost') return this.#enqueue(entry);
    const waitedMs = clock.nowMs() - ending.atMs;
    const leftMs = Math.min(limits.provisionalKeepMs, limits.provisionalKeepMs - waitedMs);
    this.#waitAndEnqueue(entry, Math.max(0, leftMs));
    this.#hastenSurplus(identity.streamId);
  }

  /** However often a publisher is lost, its stream keeps only so many journals open. */
  #hastenSurplus(streamId: Id): void {
    const waiting = [...this.#entries.values()].filter(
      ({ ended, phase }) => ended.identity.streamId === streamId && phase.kind === 'waiting',
    );
    if (waiting.length <= this.#options.limits.maxOpenRecordingsPerStream) return;
    const [oldest] = waiting.toSorted((a, b) => a.ended.ending.atMs - b.ended.ending.atMs);
    if (oldest?.phase.kind !== 'waiting') return;
    oldest.phase.cancel();
    this.#enqueue(oldest);
  }

  #waitAndEnqueue(entry: Entry, delayMs: number): void {
    const cancel = this.#options.clock.schedule(() => this.#enqueue(entry), delayMs);
    entry.phase = { kind: 'waiting', cancel };
  }

  #enqueue(entry: Entry): void {
    entry.phase = { kind: 'ready' };
    this.#ready.push(entry.ended.identity.companyId, entry);
    this.#startNext();
  }

  #startNext(): void {
    while (this.#running.size < this.#options.limits.concurrentSeals) {
      const entry = this.#ready.shift();
      if (entry === undefined) return;
      const abort = new AbortController();
      entry.phase = { kind: 'sealing', abort };
      this.#running.add(entry);
      entry.work = this.#sealOrRetry(entry, abort.signal).finally(() => {
        this.#running.delete(entry);
        this.#startNext();
      });
    }
  }

  async #sealOrRetry(entry: Entry, signal: AbortSignal): Promise<void> {
    const { log, catalogue, limits, counts } = this.#options;
    const { recordingId } = entry.ended.identity;
    try {
      await this.#seal(entry, signal);
    } catch (error) {
      const coded = toCodedError(error);
      // Its journal cannot be opened again any more in this run; the next one seals it.
      if (signal.aborted || coded.code === 'SHUTTING_DOWN') return;
      counts.seals.failed += 1;
      log.error({ recordingId, err: error }, 'cannot seal a recording');
      const isHopeless = error instanceof JournalDamagedError || coded.code === 'RECORDING_EMPTY';
      const noted = isHopeless
        ? catalogue.markFailed(recordingId, coded)
        : catalogue.noteFailure(recordingId, coded);
      await noted.catch((cause: unknown) => {
        log.error({ recordingId, err: cause }, 'cannot note that a recording could not be sealed');
      });
      if (isHopeless) return await this.#giveUp(entry);
      if (signal.aborted || this.#isClosing) return;
      const delayMs = Math.min(limits.maxSealRetryMs, limits.sealRetryMs * 2 ** entry.failures);
      entry.failures += 1;
      this.#waitAndEnqueue(entry, delayMs);
    }
  }

  async #seal(entry: Entry, signal: AbortSignal): Promise<void> {
    const { recordingId } = entry.ended.identity;
    const held = await this.#options.recordings.hold(recordingId);
    if (held === null) throw new Error(`The recording ${recordingId} is not there to be sealed.`);
    try {
      signal.throwIfAborted();
      await this.#sealHeld(entry, held, signal);
    } finally {
      held.release();
    }
  }

  async #sealHeld(
    { ended: { identity, ending } }: Entry,
    { recording, release }: HeldRecording,
    signal: AbortSignal,
  ): Promise<void> {
    const { catalogue, clock, log, store, recordings, counts, onSealed } = this.#options;
    const { recordingId } = identity;
    const startedMs = performance.now();
    const summary = summarize(recording);
    const nowMs = clock.nowMs();
    const facts = await sealRecording(recording, { ...this.#options, ending, summary, nowMs, signal });
    signal.throwIfAborted();
    checkNothingCame(recording, summary.chunkCount);
    await catalogue.markMerged(recordingId, { summary, facts, nowMs });
    counts.seals.sealed += 1;
    counts.sealSeconds.observe(secondsSince(startedMs));
    // From here on the files are the recording, whatever happens.
    await recordings.removeEnded(recordingId);
    release();
    this.#release(recording);
    await store.remove(recordingId).catch((error: unknown) => {
      log.error({ recordingId, err: error }, 'a journal that is not needed any more cannot be removed');
    });
    this.#entries.delete(recordingId);
    const tookMs = Math.round(performance.now() - startedMs);
    const mediaBytes = facts.parts.reduce((sum, part) => sum + part.mediaBytes, 0);
    log.info({ recordingId, durationMs: summary.durationMs, mediaBytes, tookMs }, 'sealed a recording');
    onSealed(recordingId);
  }

  /** Closes it when the last reader has gone, or does not go. */
  #release(recording: OpenRecording): void {
    const { clock, limits, log } = this.#options;
    const close = (): void => {
      this.#leaving.get(recording)?.();
      if (!this.#leaving.delete(recording)) return;
      recording.close().catch((error: unknown) => log.error({ err: error }, 'cannot close a journal'));
    };
    this.#leaving.set(recording, clock.schedule(close, limits.readerGraceMs));
    void recording.whenFree().then(close);
  }

  /** Nothing was ever said in it. */
  async #discard(entry: Entry): Promise<void> {
    const { catalogue, store, log } = this.#options;
    const { recordingId } = entry.ended.identity;
    await catalogue.remove(recordingId);
    await store.remove(recordingId);
    await this.#giveUp(entry);
    log.info({ recordingId }, 'removed a recording that never began');
  }

  async #giveUp({ ended }: Entry): Promise<void> {
    const { recordingId } = ended.identity;
    const recording = await this.#options.recordings.removeEnded(recordingId);
    await recording?.close();
    this.#entries.delete(recordingId);
  }
}

/** What the files do not hold would go with the journal. Whoever takes chunks makes the queue let go before. */
function checkNothingCame({ identity, journal, ending }: OpenRecording, sealedCount: number): void {
  if (journal.chunkCount === sealedCount && ending !== null) return;
  throw new CodedError(
    'RECORDING_NOT_READY',
    `Cannot note ${identity.recordingId} as sealed: it has ${journal.chunkCount} chunks, the files hold ${sealedCount}.`,
  );
}
