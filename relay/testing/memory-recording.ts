import { setImmediate } from 'node:timers/promises';
import type { Chunk, EpochStart, RecordingEvent } from '@proofcast/shared';
import {
  mediaFrame,
  Outbox,
  type OutboxLimits,
  type OutboxSink,
  type OutboxSource,
  type Rewind,
} from '../src/outbox.ts';
import {
  RecordingIndex,
  type ChunkEntry,
  type KeyPoint,
  type OpenEpoch,
} from '../src/recording/recording-index.ts';
import { ChunkMaker } from './chunk-maker.ts';
import type { Original } from './reader-runs.ts';

/** A recording with the real index whose chunks are all in memory, but are read with a delay, as from a disk. */
export class MemoryRecording implements OutboxSource {
  readonly index = new RecordingIndex({ chain: new Uint8Array(32), maxChunks: 100_000 });
  readonly publisherClockOffsetUs = 5;
  readFailure: Error | null = null;
  readonly #readers = new Set<Outbox>();
  readonly #readDelays: () => number;

  /** `readDelays` says for how many turns of the event loop the next read takes. */
  constructor(readDelays: () => number = () => 1) {
    this.#readDelays = readDelays;
  }

  get nextSequence(): number {
    return this.index.nextSequence;
  }
  get epochs(): readonly OpenEpoch[] {
    return this.index.epochs;
  }
  get newestKey(): KeyPoint | null {
    return this.index.newestKey;
  }
  get readerCount(): number {
    return this.#readers.size;
  }
  keyPointAt(timeUs: number): KeyPoint | null {
    return this.index.keyPointAt(timeUs);
  }
  nextKeyPoint(after: KeyPoint): KeyPoint | null {
    return this.index.nextKeyPoint(after);
  }
  entry(sequence: number): ChunkEntry | null {
    return this.index.entry(sequence);
  }
  async read({ stored }: ChunkEntry): Promise<Uint8Array> {
    for (let turns = this.#readDelays(); turns > 0; turns--) await setImmediate();
    if (this.readFailure !== null) throw this.readFailure;
    if (stored.place.kind === 'file') throw new Error('Everything is in memory.');
    return stored.place.bytes;
  }

  take(...chunks: readonly Chunk[]): void {
    for (const chunk of chunks) {
      const entry = this.index
        .check({ ...chunk, receivedAtUs: chunk.captureTimeUs })
        .store({ isDurable: false, place: { kind: 'memory', bytes: chunk.payload } });
      const frame = mediaFrame(entry, chunk.payload);
      for (const reader of this.#readers) reader.offer(entry, frame);
    }
  }

  addReader(
    sink: OutboxSink,
    options: { limits: OutboxLimits; nowMs?: () => number; rewind?: Rewind | null; onEnded?: () => void },
  ): Outbox {
    const { limits, nowMs = () => 0, rewind = null, onEnded } = options;
    const reader: Outbox = new Outbox({
      source: this,
      sink,
      limits,
      nowMs,
      onEnded: () => {
        this.#readers.delete(reader);
        onEnded?.();
      },
    });
    this.#readers.add(reader);
    reader.start(rewind);
    return reader;
  }

  removeReader(reader: Outbox): void {
    reader.close();
    this.#readers.delete(reader);
  }
}

/** Feeds a recording as a publisher does, and keeps what it was fed. */
export class RecordingFeed implements Original {
  readonly recording: MemoryRecording;
  readonly maker = new ChunkMaker({
    streamId: 'str_00000000000000000000',
    deviceId: 'dev_00000000000000000000',
  });
  readonly #epochs: Buffer[] = [];

  constructor(recording: MemoryRecording) {
    this.recording = recording;
  }

  get index(): RecordingIndex {
    return this.recording.index;
  }

  get epochs(): readonly Uint8Array[] {
    return this.#epochs;
  }

  epoch(fields: Partial<EpochStart> = {}): void {
    this.#epochs.push(Buffer.of());
    this.recording.take(this.maker.epoch(fields));
  }

  event(event: RecordingEvent): void {
    this.recording.take(this.maker.event(event));
  }

  /** Media of the current epoch, as one chunk if it is not too large. */
  media(bytes: Uint8Array): void {
    this.#epochs.push(Buffer.concat([this.#epochs.pop() ?? Buffer.of(), bytes]));
    this.recording.take(...this.maker.media(bytes));
  }
}
