/**
 * One recording on this disk, from its first chunk until the relay has all of it. A chunk is sealed once, when it
 * arrives; it counts as appended only when it is synced, and is kept until the relay has confirmed it as durable.
 */
import {
  CHUNK_HEADER_BYTES,
  CodedError,
  encodeMessage,
  MAX_CHUNK_PAYLOAD_BYTES,
  RECORDING_EVENTS,
  type EpochStart,
  type RecordingEvent,
} from '@proofcast/shared';
import { mkdir, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { syncDirectory } from './atomic-file.ts';
import { ChunkSealer } from './chunk-sealer.ts';
import { KeptChunks } from './kept-chunks.ts';
import { readRecordingFile, writeRecordingFile, type SpooledStart } from './recording-file.ts';
import { recoverFrames } from './spool-recovery.ts';

/** The spool's account of its disk space. */
export interface SpaceAccount {
  /** Throws `SPOOL_FULL` when there is no room. */
  reserve(bytes: number): void;
  /** Counts what is there already, whether there is room for it or not. */
  occupy(bytes: number): void;
  release(bytes: number): void;
}

interface Options {
  readonly directory: string;
  readonly segmentBytes: number;
  readonly space: SpaceAccount;
}

interface Append {
  readonly frames: readonly Uint8Array[];
  readonly resolve: () => void;
  readonly reject: (error: CodedError) => void;
}

export class SpooledRecording {
  readonly start: SpooledStart;
  readonly #options: Options;
  readonly #sealer: ChunkSealer;
  readonly #kept: KeptChunks;
  readonly #listeners = new Set<() => void>();
  #queue: Append[] = [];
  #draining: Promise<void> | undefined;
  #finishing: Promise<number> | undefined;
  #closing: Promise<void> | undefined;
  #reservedBytes = 0;
  #chunkCount: number | null = null;
  #refusal: CodedError | undefined;

  private constructor(start: SpooledStart, options: Options) {
    this.start = start;
    this.#options = options;
    this.#sealer = new ChunkSealer(start);
    this.#kept = new KeptChunks(options.directory, options.segmentBytes);
  }

  /** Begins a recording in a new folder. */
  static async create(start: SpooledStart, options: Options): Promise<SpooledRecording> {
    await mkdir(options.directory, { mode: 0o700 });
    await writeRecordingFile(options.directory, { version: 1, start, chunkCount: null });
    await syncDirectory(dirname(options.directory));
    return new SpooledRecording(start, options);
  }

  /**
   * Opens what an earlier run left in a folder. Its capture is over, so it takes no more chunks.
   * Throws when the folder does not say which recording it holds.
   */
  static async recover(options: Options): Promise<{ recording: SpooledRecording; cutBytes: number }> {
    const { start } = await readRecordingFile(options.directory);
    const recovered = await recoverFrames(options.directory, start);
    const recording = new SpooledRecording(start, options);
    recording.#kept.takeOver(recovered);
    recording.#reservedBytes = recording.#kept.sizeBytes;
    options.space.occupy(recording.#reservedBytes);
    await recording.finish();
    return { recording, cutBytes: recovered.cutBytes };
  }

  /** Number of chunks that are on a disk, here or durable at the relay; the number of the next one. */
  get appendedCount(): number {
    return this.#kept.appendedCount;
  }

  /** How many chunks the relay has confirmed as durable. */
  get durableCount(): number {
    return this.#kept.durableCount;
  }

  /** Null while capture goes on. */
  get chunkCount(): number | null {
    return this.#chunkCount;
  }

  /** Payload bytes that only this disk has. */
  get backlogBytes(): number {
    return this.#kept.backlogBytes;
  }

  get durableBytes(): number {
    return this.#kept.durableBytes;
  }

  /** Calls `listener` after chunks were appended and when capture has ended. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Begins the next epoch; media belongs to the epoch begun last. Throws as `appendMedia` does. */
  async beginEpoch(data: EpochStart): Promise<void> {
    const payload = encodeEvent({ type: 'epoch-started', data });
    await this.#append([payload], (bytes) => {
      this.#sealer.beginEpoch();
      return this.#sealer.seal('event', bytes, nowUs());
    });
  }

  /** Resolves when the event is on the disk; throws as `appendMedia` does. */
  async appendEvent(event: Exclude<RecordingEvent, { type: 'epoch-started' }>): Promise<void> {
    this.#checkEpoch();
    await this.#append([encodeEvent(event)], (bytes) => this.#sealer.seal('event', bytes, nowUs()));
  }

  /**
   * Resolves when the bytes are on the disk. Throws `SPOOL_FULL`, `SPOOL_FAILED`, `MESSAGE_UNEXPECTED` outside of an
   * epoch and after the end, or what `refuse` was given.
   */
  async appendMedia(bytes: Uint8Array, captureTimeUs: number): Promise<void> {
    this.#checkEpoch();
    const payloads: Uint8Array[] = [];
    for (let from = 0; from < bytes.length; from += MAX_CHUNK_PAYLOAD_BYTES) {
      payloads.push(bytes.subarray(from, from + MAX_CHUNK_PAYLOAD_BYTES));
    }
    await this.#append(payloads, (payload) => this.#sealer.seal('media', payload, captureTimeUs));
  }

  /** Capture has ended. Resolves with the number of chunks when all of them are on the disk; idempotent. */
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
    this.#release(this.#kept.acknowledge(durableCount));
  }

  /** Closes the files and leaves them where they are. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** Closes and deletes: everything is durable at the relay, or there is nothing. */
  async remove(): Promise<void> {
    await this.close();
    await rm(this.#options.directory, { recursive: true, force: true });
    await syncDirectory(dirname(this.#options.directory));
  }

  async #finish(): Promise<number> {
    this.refuse(unexpected('its capture has ended'));
    await this.#draining;
    const chunkCount = this.appendedCount;
    const { directory } = this.#options;
    this.#chunkCount = chunkCount;
    this.#announce();
    // A full disk must not keep what is on it from being uploaded: after a restart the recording has ended anyway.
    await writeRecordingFile(directory, { version: 1, start: this.start, chunkCount }).catch(() => undefined);
    return chunkCount;
  }

  async #close(): Promise<void> {
    this.refuse(unexpected('the spool is closed'));
    await this.#draining;
    await this.#kept.close();
    this.#release(this.#reservedBytes);
  }

  #checkEpoch(): void {
    if (!this.#refusal && !this.#sealer.hasEpoch) throw unexpected('no epoch has begun');
  }

  #append(payloads: readonly Uint8Array[], seal: (payload: Uint8Array) => Uint8Array): Promise<void> {
    if (this.#refusal) throw this.#refusal;
    // Numbers are given only when there is room, so that what is on the disk never has a hole.
    const bytes = payloads.reduce((sum, payload) => sum + CHUNK_HEADER_BYTES + payload.length, 0);
    this.#options.space.reserve(bytes);
    this.#reservedBytes += bytes;
    const frames = payloads.map(seal);
    return new Promise((resolve, reject) => {
      this.#queue.push({ frames, resolve, reject });
      this.#draining ??= this.#drain();
    });
  }

  /** Writes what has queued up with one write and one sync, until nothing is queued. Never rejects. */
  async #drain(): Promise<void> {
    while (this.#queue.length > 0) {
      const batch = this.#queue;
      this.#queue = [];
      try {
        await this.#kept.append(batch.flatMap(({ frames }) => frames));
      } catch (cause) {
        // A write or a sync that failed leaves unknown bytes behind: nothing may follow them.
        const failure = spoolFailed('a chunk cannot be written', cause);
        this.#refusal = failure;
        for (const { reject } of [...batch, ...this.#queue]) reject(failure);
        this.#queue = [];
        break;
      }
      for (const { resolve } of batch) resolve();
      this.#announce();
    }
    this.#draining = undefined;
  }

  #release(bytes: number): void {
    this.#reservedBytes -= bytes;
    this.#options.space.release(bytes);
  }

  #announce(): void {
    for (const listener of this.#listeners) listener();
  }
}

function encodeEvent(event: RecordingEvent): Uint8Array {
  return new TextEncoder().encode(encodeMessage(RECORDING_EVENTS, event));
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
