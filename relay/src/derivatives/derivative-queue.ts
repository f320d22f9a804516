/**
 * Makes what waits in the catalogue, a few at a time and in turn for the companies. What fails is tried again, later
 * each time. The catalogue is the queue: what is in memory here can be lost at any moment.
 */
import type { Logger } from 'pino';
import { CodedError, DERIVATIVE_KINDS, toCodedError, type DerivativeKind, type Id } from '@proofcast/shared';
import type { DerivativeRow } from '../database/schema.ts';
import type { MediaClock } from '../media-clock.ts';
import { EXPORT_KINDS, type DerivativeCatalogue } from './derivative-catalogue.ts';
import { FfmpegError } from './ffmpeg.ts';

export interface DerivativeQueueLimits {
  readonly concurrentDerivatives: number;
  readonly concurrentExports: number;
  readonly maxDerivativeAttempts: number;
  readonly derivativeBackoffMs: number;
  readonly maxDerivativeBackoffMs: number;
}

export interface DerivativeQueueOptions {
  readonly catalogue: DerivativeCatalogue;
  /** Makes the file and notes it in the catalogue. */
  readonly make: (row: DerivativeRow, attempt: Attempt) => Promise<void>;
  readonly limits: DerivativeQueueLimits;
  readonly clock: MediaClock;
  readonly log: Logger;
}

export interface Attempt {
  readonly signal: AbortSignal;
  readonly onProgress: (progress: number) => void;
}

interface Run {
  readonly row: DerivativeRow;
  readonly abort: AbortController;
  progress: number;
  ended: Promise<void>;
}

/** A timer takes no longer delay. */
const MAX_WAIT_MS = 3_600_000;
const SHUTTING_DOWN = new CodedError('SHUTTING_DOWN', 'The relay is shutting down.');
const NOT_WANTED = new CodedError('RECORDING_NOT_FOUND', 'The recording is being deleted.');

export class DerivativeQueue {
  readonly #options: DerivativeQueueOptions;
  readonly #runs = new Set<Run>();
  /** When each company was last served, as a count of all that was begun. */
  readonly #served = new Map<Id, number>();
  #servedCount = 0;
  /** Ended attempts that the catalogue does not know of yet, because it failed. */
  readonly #unsettled: { readonly run: Run; readonly error: unknown }[] = [];
  #filling: Promise<void> | null = null;
  #hasNews = false;
  #cancelTimer: (() => void) | null = null;
  #isClosed = false;

  constructor(options: DerivativeQueueOptions) {
    this.#options = options;
  }

  /** Looks for work. Call it after something was put into the catalogue. */
  wake(): void {
    this.#hasNews = true;
    this.#filling ??= this.#fillUntilQuiet().finally(() => {
      this.#filling = null;
      // What came between the last look and this.
      if (this.#hasNews && !this.#isClosed) this.wake();
    });
  }

  /** From 0 to 1; null when it does not run. */
  progressOf(recordingId: Id, kind: DerivativeKind): number | null {
    return this.#find(recordingId, kind)?.progress ?? null;
  }

  /** Resolves when nothing runs and nothing could be begun; what waits for another attempt does not count. */
  async whenIdle(): Promise<void> {
    for (;;) {
      const pending = [...this.#runs].map((run) => run.ended);
      if (this.#filling !== null) pending.push(this.#filling);
      if (pending.length === 0) return;
      await Promise.all(pending);
    }
  }

  /** Ends what runs for the recording and waits for that. */
  async cancel(recordingId: Id): Promise<void> {
    // What was taken from the catalogue before and has not begun yet.
    await this.#filling;
    const runs = [...this.#runs].filter(({ row }) => row.recording_id === recordingId);
    for (const { abort } of runs) abort.abort(NOT_WANTED);
    await Promise.all(runs.map((run) => run.ended));
  }

  /** Ends what runs; it begins anew at the next start. Idempotent. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancelTimer?.();
    for (const { abort } of this.#runs) abort.abort(SHUTTING_DOWN);
    await this.whenIdle();
  }

  async #fillUntilQuiet(): Promise<void> {
    while (this.#hasNews && !this.#isClosed) {
      this.#hasNews = false;
      try {
        await this.#fill();
      } catch (error) {
        this.#options.log.error({ err: error }, 'cannot read the queue of derivatives');
        this.#wakeIn(this.#options.limits.derivativeBackoffMs);
      }
    }
  }

  async #fill(): Promise<void> {
    const { catalogue, clock } = this.#options;
    this.#cancelTimer?.();
    for (const { run, error } of this.#unsettled.splice(0)) await this.#trySettle(run, error);
    for (;;) {
      const kinds = this.#kindsWithRoom();
      if (kinds.length === 0 || this.#isClosed) return;
      const nowMs = clock.nowMs();
      const companyId = this.#nextInTurn(await catalogue.companiesWaiting(kinds, nowMs));
      if (companyId === null) {
        const dueMs = await catalogue.nextDueMs(kinds);
        if (dueMs !== null) this.#wakeIn(Math.max(1, dueMs - nowMs));
        return;
      }
      const row = await catalogue.claim(companyId, kinds, nowMs);
      if (row !== null) this.#begin(row);
    }
  }

  #kindsWithRoom(): readonly DerivativeKind[] {
    const { concurrentDerivatives, concurrentExports } = this.#options.limits;
    if (this.#runs.size >= concurrentDerivatives) return [];
    const exports = [...this.#runs].filter(({ row }) => EXPORT_KINDS.includes(row.kind)).length;
    if (exports < concurrentExports) return DERIVATIVE_KINDS;
    return DERIVATIVE_KINDS.filter((kind) => !EXPORT_KINDS.includes(kind));
  }

  /** The company with the fewest running, of those the one that was served longest ago. */
  #nextInTurn(companies: readonly Id[]): Id | null {
    const running = (companyId: Id): number =>
      [...this.#runs].filter(({ row }) => row.company_id === companyId).length;
    const servedAt = (companyId: Id): number => this.#served.get(companyId) ?? 0;
    const [next] = companies.toSorted((a, b) => running(a) - running(b) || servedAt(a) - servedAt(b));
    return next ?? null;
  }

  #begin(row: DerivativeRow): void {
    this.#served.set(row.company_id, (this.#servedCount += 1));
    const run: Run = { row, abort: new AbortController(), progress: 0, ended: Promise.resolve() };
    this.#runs.add(run);
    if (this.#isClosed) run.abort.abort(SHUTTING_DOWN);
    run.ended = this.#attempt(run).finally(() => {
      this.#runs.delete(run);
      this.wake();
    });
  }

  async #attempt(run: Run): Promise<void> {
    const { signal } = run.abort;
    // ffmpeg's own count may go back a little.
    const onProgress = (progress: number): void => {
      run.progress = Math.min(1, Math.max(run.progress, progress));
    };
    try {
      signal.throwIfAborted();
      await this.#options.make(run.row, { signal, onProgress });
    } catch (error) {
      await this.#trySettle(run, error);
    }
  }

  async #trySettle(run: Run, error: unknown): Promise<void> {
    try {
      await this.#settle(run, error);
    } catch (cause) {
      const { recording_id: recordingId, kind } = run.row;
      this.#options.log.error({ recordingId, kind, err: cause }, 'cannot note that a derivative failed');
      this.#unsettled.push({ run, error });
      this.#wakeIn(this.#options.limits.derivativeBackoffMs);
    }
  }

  async #settle({ row, abort }: Run, error: unknown): Promise<void> {
    const { catalogue, limits, clock, log } = this.#options;
    if (abort.signal.aborted) return catalogue.putBack(row);
    const { recording_id: recordingId, kind, attempts } = row;
    const isLast = attempts >= limits.maxDerivativeAttempts;
    const stderrTail = error instanceof FfmpegError ? error.stderrTail : undefined;
    log.warn({ recordingId, kind, attempts, isLast, err: error, stderrTail }, 'a derivative failed');
    const delayMs = Math.min(limits.maxDerivativeBackoffMs, limits.derivativeBackoffMs * 2 ** (attempts - 1));
    await catalogue.markFailed(row, toCodedError(error), isLast ? null : clock.nowMs() + delayMs);
  }

  #wakeIn(delayMs: number): void {
    this.#cancelTimer?.();
    if (this.#isClosed) return;
    this.#cancelTimer = this.#options.clock.schedule(() => this.wake(), Math.min(MAX_WAIT_MS, delayMs));
  }

  #find(recordingId: Id, kind: DerivativeKind): Run | undefined {
    return [...this.#runs].find(({ row }) => row.recording_id === recordingId && row.kind === kind);
  }
}
