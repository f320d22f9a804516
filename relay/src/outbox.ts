/**
 * One reader of one recording. It begins at the newest cluster that a player can begin at, catches up from the journal,
 * cuts over, and then takes each chunk as it comes. A reader that does not keep up is cut to a later key cluster, and
 * ended when that lasts too long; it never holds up the others. Knows no sockets and no disk.
 */
import { CodedError, toCodedError } from '@proofcast/shared';
import type { ChunkEntry, KeyPoint, OpenEpoch } from './recording/recording-index.ts';

/** The recording, as a reader needs it. */
export interface OutboxSource {
  /** Number of the chunk that will come next. */
  readonly nextSequence: number;
  readonly epoch: OpenEpoch | null;
  readonly publisherClockOffsetUs: number;
  /** Of the current epoch. */
  readonly newestKey: KeyPoint | null;
  /** Null when the chunk is not at hand any more. */
  entry(sequence: number): ChunkEntry | null;
  read(entry: ChunkEntry): Promise<Uint8Array>;
}

export interface OutboxFrame {
  readonly kind: 'init' | 'media';
  readonly epoch: number;
  readonly sequence: number;
  readonly captureTimeUs: number;
  readonly isDiscontinuity: boolean;
  /** Shared by all readers: never to be written to. */
  readonly payload: Uint8Array;
}

/** Where a reader's data goes. */
export interface OutboxSink {
  /** Bytes that were sent and have not left yet. */
  readonly bufferedBytes: number;
  /** Before the first frame of an epoch. */
  beginEpoch(epoch: OpenEpoch, publisherClockOffsetUs: number): void;
  /** `onSent` is called when the bytes have left, or never will. */
  send(frame: OutboxFrame, onSent?: () => void): void;
  /** Nothing follows. */
  end(error: CodedError): void;
}

export interface OutboxLimits {
  readonly maxViewerBufferBytes: number;
  readonly maxViewerLagMs: number;
}

type Phase =
  /** There is no cluster yet that the reader could begin at. */
  | { readonly kind: 'waiting' }
  | { readonly kind: 'catching-up'; progressAtMs: number }
  | { readonly kind: 'live' }
  /** The sink holds too much; what comes is left out. */
  | { readonly kind: 'lagging'; readonly sinceMs: number }
  | { readonly kind: 'ended' };

export class Outbox {
  readonly #source: OutboxSource;
  readonly #sink: OutboxSink;
  readonly #limits: OutboxLimits;
  readonly #nowMs: () => number;
  readonly #onEnded: () => void;
  #phase: Phase = { kind: 'waiting' };
  /** The epoch whose beginning the reader was told. */
  #toldEpoch: number | null = null;
  /** Up to which byte of which epoch the reader was sent the media. */
  #sent: { epoch: number; streamEnd: number } | null = null;

  /** `onEnded` is called once, after the sink was told. */
  constructor(options: {
    source: OutboxSource;
    sink: OutboxSink;
    limits: OutboxLimits;
    nowMs: () => number;
    onEnded: () => void;
  }) {
    this.#source = options.source;
    this.#sink = options.sink;
    this.#limits = options.limits;
    this.#nowMs = options.nowMs;
    this.#onEnded = options.onEnded;
  }

  /** Begins to send, if there is anything to begin at. Called once. */
  start(): void {
    this.#beginAtNewestKey();
  }

  /** Takes a chunk that the source has just got. Never throws and never waits. */
  offer(entry: ChunkEntry, payload: Uint8Array): void {
    switch (this.#phase.kind) {
      case 'waiting':
        return this.#beginAtNewestKey();
      case 'catching-up':
        return this.#endIfTooSlow(this.#phase.progressAtMs);
      case 'live':
        return this.#offerLive(entry, payload);
      case 'lagging':
        if (this.#sink.bufferedBytes <= this.#limits.maxViewerBufferBytes / 2)
          return this.#beginAtNewestKey();
        return this.#endIfTooSlow(this.#phase.sinceMs);
      case 'ended':
        return;
    }
  }

  /** Ends the reader with what its person is told. Idempotent. */
  end(error: CodedError): void {
    if (this.#phase.kind === 'ended') return;
    this.#phase = { kind: 'ended' };
    this.#sink.end(error);
    this.#onEnded();
  }

  /** Ends without a word: the reader itself has gone. Idempotent. */
  close(): void {
    this.#phase = { kind: 'ended' };
  }

  #offerLive(entry: ChunkEntry, payload: Uint8Array): void {
    if (entry.epoch !== this.#sent?.epoch) {
      this.#phase = { kind: 'waiting' };
      return this.#beginAtNewestKey();
    }
    if (entry.kind === 'event') return;
    if (this.#sink.bufferedBytes > this.#limits.maxViewerBufferBytes) {
      this.#phase = { kind: 'lagging', sinceMs: this.#nowMs() };
      return;
    }
    this.#sendMedia(entry, payload);
  }

  /** Catches up from the newest key cluster, unless the reader has been sent that already. */
  #beginAtNewestKey(): void {
    const key = this.#source.newestKey;
    if (key === null) return;
    if (this.#sent?.epoch === key.epoch && key.streamStart < this.#sent.streamEnd) return;
    const phase: Phase = { kind: 'catching-up', progressAtMs: this.#nowMs() };
    this.#phase = phase;
    this.#catchUp(key, phase).catch((error: unknown) => this.end(toCodedError(error)));
  }

  async #catchUp(key: KeyPoint, phase: Phase & { kind: 'catching-up' }): Promise<void> {
    const { epoch } = this.#source;
    if (epoch === null || epoch.init === null)
      throw new Error('A key cluster is known, but not the init segment before it.');
    if (this.#toldEpoch !== epoch.number) {
      this.#sink.beginEpoch(epoch, this.#source.publisherClockOffsetUs);
    }
    await this.#sendInit(epoch.init, key, phase);
    this.#toldEpoch = epoch.number;
    let { sequence, offset } = key;
    while (this.#phase === phase) {
      if (sequence === this.#source.nextSequence) {
        this.#phase = { kind: 'live' };
        return;
      }
      const entry = this.#source.entry(sequence);
      if (entry?.epoch !== key.epoch) {
        // Fell out of what the source remembers, or came to the end of the epoch.
        this.#phase = { kind: 'waiting' };
        return this.#beginAtNewestKey();
      }
      if (entry.kind === 'media') {
        const payload = await this.#source.read(entry);
        if (this.#phase !== phase) return;
        await new Promise<void>((resolve) => {
          this.#sendMedia(entry, payload.subarray(offset), resolve);
        });
        phase.progressAtMs = this.#nowMs();
      }
      sequence += 1;
      offset = 0;
    }
  }

  #sendInit(init: Uint8Array, key: KeyPoint, phase: Phase & { kind: 'catching-up' }): Promise<void> {
    const isDiscontinuity = this.#sent !== null;
    const captureTimeUs = this.#source.entry(key.sequence)?.captureTimeUs ?? 0;
    this.#sent = { epoch: key.epoch, streamEnd: key.streamStart };
    return new Promise((resolve) => {
      const { epoch, sequence } = key;
      const frame: OutboxFrame = {
        kind: 'init',
        epoch,
        sequence,
        captureTimeUs,
        isDiscontinuity,
        payload: init,
      };
      this.#sink.send(frame, () => {
        phase.progressAtMs = this.#nowMs();
        resolve();
      });
    });
  }

  #sendMedia(entry: ChunkEntry, payload: Uint8Array, onSent?: () => void): void {
    const { epoch, sequence, captureTimeUs, streamEnd } = entry;
    this.#sent = { epoch, streamEnd };
    this.#sink.send(
      { kind: 'media', epoch, sequence, captureTimeUs, isDiscontinuity: false, payload },
      onSent,
    );
  }

  #endIfTooSlow(sinceMs: number): void {
    const { maxViewerLagMs } = this.#limits;
    if (this.#nowMs() - sinceMs <= maxViewerLagMs) return;
    this.end(
      new CodedError(
        'VIEWER_TOO_SLOW',
        `The viewer did not take its data for more than ${maxViewerLagMs} ms.`,
      ),
    );
  }
}
