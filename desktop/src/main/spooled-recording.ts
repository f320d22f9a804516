/**
 * One recording on this disk, from its first chunk until the relay has all of it. A chunk is sealed once, when it is
 * written; it counts as appended only when it is synced, and is kept until the relay has confirmed it as durable.
 * What ends an epoch, whether the recorder, the page, the disk or the app, leaves the recording open for the next one.
 */
import {
  CHUNK_HEADER_BYTES,
  CodedError,
  encodeMessage,
  MAX_CHUNK_PAYLOAD_BYTES,
  RECORDING_EVENTS,
  type EpochEndReason,
  type EpochStart,
  type RecordingEvent,
} from '@proofcast/shared';
import { mkdir, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { syncDirectory } from './atomic-file.ts';
import { ChunkSealer } from './chunk-sealer.ts';
import { NEARLY_FULL, type RecordingLimits } from './config.ts';
import { KeptChunks } from './kept-chunks.ts';
import {
  readRecordingFile,
  writeRecordingFile,
  type RecordedSource,
  type RecordingFile,
  type SpooledStart,
} from './recording-file.ts';
import { firstPosition, type SpoolPosition } from './spool-position.ts';
import { recoverFrames, type RecoveredFrames } from './spool-recovery.ts';
import { diskFull, type SpoolSpace } from './spool-space.ts';

interface Options {
  readonly directory: string;
  readonly segmentBytes: number;
  readonly space: SpoolSpace;
  /** Until the relay has told its own. */
  readonly limits: RecordingLimits;
}

/** What is to become one or more chunks. */
type Item =
  | { readonly kind: 'event'; readonly event: RecordingEvent; readonly captureTimeUs: number }
  | { readonly kind: 'media'; readonly payloads: readonly Uint8Array[]; readonly captureTimeUs: number };

interface Append {
  readonly item: Item;
  readonly reservedBytes: number;
  readonly resolve: () => void;
  readonly reject: (error: CodedError) => void;
}

/**
 * `failed`: the disk refused a part of the epoch; nothing may follow it, and `reason` is still to be written down.
 */
type EpochState =
  | { readonly kind: 'none' }
  | { readonly kind: 'open' }
  | { readonly kind: 'failed'; readonly error: CodedError; readonly reason: EpochEndReason };

export class SpooledRecording {
  readonly start: SpooledStart;
  readonly source: RecordedSource;
  readonly #options: Options;
  readonly #sealer: ChunkSealer;
  readonly #kept: KeptChunks;
  readonly #listeners = new Set<() => void>();
  #queue: Append[] = [];
  #draining: Promise<void> | undefined;
  #finishing: Promise<number> | undefined;
  #closing: Promise<void> | undefined;
  #beginning: Promise<number> | undefined;
  #epoch: EpochState = { kind: 'none' };
  #reservedBytes = 0;
  #chunkCount: number | null = null;
  #isInterrupted = false;
  #lastCaptureTimeUs: number;
  #refusal: CodedError | undefined;
  #limits: RecordingLimits;

  private constructor(
    { start, source }: Pick<RecordingFile, 'start' | 'source'>,
    position: SpoolPosition,
    options: Options,
  ) {
    this.start = start;
    this.source = source;
    this.#options = options;
    this.#sealer = new ChunkSealer(position);
    this.#kept = new KeptChunks(options.directory, options.segmentBytes, (bytes) => this.#release(bytes));
    this.#limits = options.limits;
    this.#lastCaptureTimeUs = position.captureTimeUs;
  }

  /** Begins a recording in a new folder. */
  static async create(
    { start, source }: { start: SpooledStart; source: RecordedSource },
    options: Options,
  ): Promise<SpooledRecording> {
    await mkdir(options.directory, { mode: 0o700 });
    await writeRecordingFile(options.directory, { version: 3, start, source, chunkCount: null });
    await syncDirectory(dirname(options.directory));
    return new SpooledRecording({ start, source }, firstPosition(start), options);
  }

  /**
   * Opens what an earlier run left in a folder. One that was not stopped in order is interrupted: it may be resumed or
   * finished. Throws when the folder does not say which recording it holds.
   */
  static async recover(
    options: Options,
  ): Promise<{ recording: SpooledRecording } & Pick<RecoveredFrames, 'cutBytes' | 'isDamaged'>> {
    const file = await readRecordingFile(options.directory);
    const recovered = await recoverFrames(options.directory, file);
    const recording = new SpooledRecording(file, recovered.position, options);
    recording.#kept.takeOver(recovered);
    recording.#reservedBytes = recording.#kept.frameBytes;
    options.space.occupy(recording.#reservedBytes);
    const { lastEvent, cutBytes, isDamaged } = recovered;
    const wasStopped = lastEvent?.type === 'epoch-ended' && lastEvent.data.reason === 'stopped';
    if (file.chunkCount !== null || wasStopped || recording.appendedCount === 0) await recording.finish();
    else await recording.#onInterrupted(recovered.position.isEpochOpen);
    return { recording, cutBytes, isDamaged };
  }

  /** Number of chunks that are on a disk, here or durable at the relay; the number of the next one. */
  get appendedCount(): number {
    return this.#kept.appendedCount;
  }

  /** How many chunks the relay has confirmed as durable. */
  get durableCount(): number {
    return this.#kept.durableCount;
  }

  /** Null until the recording has ended for good. */
  get chunkCount(): number | null {
    return this.#chunkCount;
  }

  /** The app died while it captured, and nobody has decided yet whether the recording goes on. */
  get isInterrupted(): boolean {
    return this.#isInterrupted && this.#chunkCount === null;
  }

  /** Chunks still come, or will. */
  get isCapturing(): boolean {
    return this.#chunkCount === null && !this.#isInterrupted;
  }

  /** Whether media may be appended. */
  get isEpochOpen(): boolean {
    return this.#epoch.kind === 'open' && !this.#refusal;
  }

  /** Number of the epoch begun last; -1 before the first one. */
  get epoch(): number {
    return this.#sealer.position.epoch;
  }

  /** The relay takes little more of it, and another one should be begun; what is left is for the rest of the epoch. */
  get isNearlyFull(): boolean {
    const { nextSequence, epoch, eventCount } = this.#sealer.position;
    const { maxChunks, maxEpochs, maxEvents } = this.#limits;
    return (
      nextSequence >= maxChunks * NEARLY_FULL ||
      epoch + 1 >= maxEpochs * NEARLY_FULL ||
      eventCount >= maxEvents * NEARLY_FULL
    );
  }

  /** Publisher's clock at the last chunk. */
  get lastCaptureTimeUs(): number {
    return this.#lastCaptureTimeUs;
  }

  /** Why nothing can be appended any more; undefined while something can. */
  get refusal(): CodedError | undefined {
    return this.#refusal;
  }

  /** Payload bytes that only this disk has. */
  get backlogBytes(): number {
    return this.#kept.backlogBytes;
  }

  get durableBytes(): number {
    return this.#kept.durableBytes;
  }

  /** The relay has told what it takes of one recording. */
  setLimits(limits: RecordingLimits): void {
    this.#limits = limits;
  }

  /** Calls `listener` after chunks were appended and when the recording was resumed or has ended. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** An interrupted recording goes on. */
  resume(): void {
    if (!this.isInterrupted) throw unexpected('it was not interrupted, or has ended');
    this.#isInterrupted = false;
    this.#announce();
  }

  /**
   * Begins the next epoch; media belongs to the epoch begun last. One that is open is ended first. Resolves with its
   * number; throws as `appendMedia` does.
   */
  beginEpoch(data: EpochStart): Promise<number> {
    this.#beginning = this.#beginEpoch(data);
    return this.#beginning;
  }

  /**
   * Says why the epoch has ended, and when if that is not now; only when one is open, and nothing follows in it. Resolves
   * when that is on the disk.
   */
  async endEpoch(reason: EpochEndReason, captureTimeUs?: number): Promise<void> {
    // One that is just being begun would otherwise stay open.
    await this.#beginning?.catch(() => undefined);
    await this.#endEpoch(reason, captureTimeUs);
  }

  /** Resolves when the event is on the disk; throws as `appendMedia` does. */
  async appendEvent(
    event: Exclude<RecordingEvent, { type: 'epoch-started' | 'epoch-ended' }>,
  ): Promise<void> {
    this.#checkEpoch();
    await this.#append({ kind: 'event', event, captureTimeUs: nowUs() });
  }

  /**
   * Resolves when the bytes are on the disk. Throws `SPOOL_FULL` or `SPOOL_FAILED`, which end the epoch and not the
   * recording, `MESSAGE_UNEXPECTED` outside of an epoch and after the end, or what `refuse` was given.
   */
  async appendMedia(bytes: Uint8Array, captureTimeUs: number): Promise<void> {
    this.#checkEpoch();
    const payloads: Uint8Array[] = [];
    for (let from = 0; from < bytes.length; from += MAX_CHUNK_PAYLOAD_BYTES) {
      payloads.push(bytes.subarray(from, from + MAX_CHUNK_PAYLOAD_BYTES));
    }
    try {
      await this.#append({ kind: 'media', payloads, captureTimeUs });
    } catch (error) {
      const isFirst = this.#epoch.kind === 'open';
      if (isFirst && error instanceof CodedError) await this.#failEpoch(error);
      throw error;
    }
  }

  /** Nothing will be captured any more. Resolves with the number of chunks when all are on the disk; idempotent. */
  finish(): Promise<number> {
    this.#finishing ??= this.#finish();
    return this.#finishing;
  }

  /** No more chunks are wanted, for instance because the relay refuses the recording: appending throws `error`. */
  refuse(error: CodedError): void {
    this.#refusal ??= error;
  }

  /** The frame of chunk `sequence`, which is on this disk and not yet durable. Throws `SPOOL_FAILED`. */
  readFrame(sequence: number): Promise<Uint8Array> {
    return this.#kept.read(sequence).catch((cause: unknown) => {
      throw spoolFailed(`chunk ${sequence} of ${this.start.recordingId} cannot be read`, cause);
    });
  }

  /** Size of the payload of chunk `sequence`; 0 when it is not kept. */
  payloadBytes(sequence: number): number {
    return this.#kept.find(sequence)?.payloadBytes ?? 0;
  }

  /** Chunks 0 … n−1 are durable at the relay: this disk need not keep them. */
  acknowledge(durableCount: number): void {
    this.#kept.acknowledge(durableCount);
  }

  /** Closes the files and leaves them where they are. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** Closes and deletes: everything is durable at the relay, or nobody wants it any more. */
  async remove(): Promise<void> {
    await this.close();
    await rm(this.#options.directory, { recursive: true, force: true });
    await syncDirectory(dirname(this.#options.directory));
  }

  async #onInterrupted(isEpochOpen: boolean): Promise<void> {
    this.#isInterrupted = true;
    if (!isEpochOpen) return;
    this.#epoch = { kind: 'open' };
    // Its time is that of the last sign of life. Without room for it, the next epoch or the end says so.
    await this.#endEpoch('app-crashed', this.#lastCaptureTimeUs).catch(() => undefined);
  }

  async #beginEpoch(data: EpochStart): Promise<number> {
    this.#checkOpen();
    await this.#endEpoch('recorder-restarted');
    await this.#options.space.checkRoom().catch((error: unknown) => {
      throw error instanceof CodedError
        ? error
        : spoolFailed('there is no telling how much room it has', error);
    });
    this.#checkOpen();
    await this.#append({ kind: 'event', event: { type: 'epoch-started', data }, captureTimeUs: nowUs() });
    this.#epoch = { kind: 'open' };
    return this.epoch;
  }

  async #endEpoch(reason: EpochEndReason, captureTimeUs = nowUs()): Promise<void> {
    if (this.#epoch.kind === 'none' || this.#refusal) return;
    const known = this.#epoch.kind === 'failed' ? this.#epoch.reason : reason;
    const failure = this.#epoch.kind === 'failed' ? this.#epoch.error : undefined;
    this.#epoch = { kind: 'none' };
    const event = { type: 'epoch-ended', data: { reason: known } } as const;
    try {
      await this.#append({ kind: 'event', event, captureTimeUs });
    } catch (error) {
      // It is said as soon as the disk takes it; a recovery says so by itself.
      const coded = error instanceof CodedError ? error : spoolFailed('an event cannot be written', error);
      this.#epoch = { kind: 'failed', error: failure ?? coded, reason: known };
      throw coded;
    }
  }

  async #finish(): Promise<number> {
    // A disk that does not take the event takes nothing else; the recording then ends with what there is.
    await this.endEpoch('stopped').catch(() => undefined);
    this.refuse(unexpected('its capture has ended'));
    await this.#draining;
    const chunkCount = this.appendedCount;
    const { start, source } = this;
    this.#chunkCount = chunkCount;
    this.#announce();
    // A full disk must not keep what is on it from being uploaded: after a restart the recording can be ended again.
    await writeRecordingFile(this.#options.directory, { version: 3, start, source, chunkCount }).catch(
      () => undefined,
    );
    return chunkCount;
  }

  async #close(): Promise<void> {
    this.refuse(unexpected('the spool is closed'));
    await this.#draining;
    await this.#kept.close();
    this.#release(this.#reservedBytes);
  }

  #checkOpen(): void {
    if (this.#refusal) throw this.#refusal;
  }

  #checkEpoch(): void {
    this.#checkOpen();
    if (this.#epoch.kind === 'failed') throw this.#epoch.error;
    if (this.#epoch.kind === 'none') throw unexpected('no epoch has begun');
  }

  /** The epoch has a hole from here on: says why, in the room that is kept for it, and takes nothing more for it. */
  async #failEpoch(error: CodedError): Promise<void> {
    const { space } = this.#options;
    const isFull = error.code === 'SPOOL_FULL';
    this.#epoch = { kind: 'failed', error, reason: isFull ? 'spool-full' : 'recorder-failed' };
    if (isFull) {
      space.markFull();
      await space.releaseBallast();
      const event = { type: 'spool-full', data: { limitBytes: space.limitBytes } } as const;
      await this.#append({ kind: 'event', event, captureTimeUs: nowUs() }).catch(() => undefined);
    }
    await this.#endEpoch('spool-full').catch(() => undefined);
  }

  #append(item: Item): Promise<void> {
    this.#checkOpen();
    const reservedBytes = sizeOf(item);
    this.#options.space.reserve(reservedBytes, item.kind === 'media' ? 'media' : 'events');
    this.#reservedBytes += reservedBytes;
    return new Promise((resolve, reject) => {
      this.#queue.push({ item, reservedBytes, resolve, reject });
      this.#draining ??= this.#drain();
    });
  }

  /** Writes what has queued up with one write and one sync, until nothing is queued. Never rejects. */
  async #drain(): Promise<void> {
    while (this.#queue.length > 0) {
      const batch = this.#queue;
      this.#queue = [];
      const position = this.#sealer.position;
      try {
        await this.#write(batch, position);
      } catch (cause) {
        // What was sealed is on no disk: its numbers are given to what is appended next.
        this.#sealer.returnTo(position);
        const failure = isDiskFull(cause) ? diskFull(cause) : spoolFailed('a chunk cannot be written', cause);
        // What queued up meanwhile would leave a hole before it.
        const refused = [...batch, ...this.#queue];
        this.#queue = [];
        this.#release(refused.reduce((sum, { reservedBytes }) => sum + reservedBytes, 0));
        for (const { reject } of refused) reject(failure);
        continue;
      }
      this.#lastCaptureTimeUs = batch.at(-1)?.item.captureTimeUs ?? this.#lastCaptureTimeUs;
      for (const { resolve } of batch) resolve();
      this.#announce();
    }
    this.#draining = undefined;
  }

  async #write(batch: readonly Append[], position: SpoolPosition): Promise<void> {
    const frames = batch.flatMap(({ item }) => this.#seal(item));
    try {
      await this.#kept.append(frames, position);
    } catch (error) {
      if (isDiskFull(error)) throw error;
      // One file that fails is not the whole disk: the same chunks go to a new one, and nothing is lost.
      await this.#kept.append(frames, position);
    }
  }

  #seal(item: Item): Uint8Array[] {
    if (item.kind === 'event') return [this.#sealer.sealEvent(item.event, item.captureTimeUs)];
    return item.payloads.map((payload) => this.#sealer.sealMedia(payload, item.captureTimeUs));
  }

  #release(bytes: number): void {
    this.#reservedBytes -= bytes;
    this.#options.space.release(bytes);
  }

  #announce(): void {
    for (const listener of this.#listeners) listener();
  }
}

function sizeOf(item: Item): number {
  if (item.kind === 'event') {
    return CHUNK_HEADER_BYTES + Buffer.byteLength(encodeMessage(RECORDING_EVENTS, item.event));
  }
  return item.payloads.reduce((sum, payload) => sum + CHUNK_HEADER_BYTES + payload.length, 0);
}

function isDiskFull(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return code === 'ENOSPC' || code === 'EDQUOT';
}

function nowUs(): number {
  return Date.now() * 1000;
}

function unexpected(because: string): CodedError {
  return new CodedError('MESSAGE_UNEXPECTED', `Cannot add to the recording: ${because}.`);
}

function spoolFailed(because: string, cause: unknown): CodedError {
  return new CodedError('SPOOL_FAILED', `Cannot use the spool on this disk: ${because}.`, { cause });
}
