/**
 * One reader of one recording. It begins at the newest cluster that a player can begin at, or at one of the past;
 * catches up from the journal, cuts over, and then takes each chunk as it comes. A reader that does not keep up is cut
 * to a later key cluster, and ended when that does not help; it never holds up the others. One that was rewound gets as
 * much as it has asked for and waits. Knows no sockets and no disk. Rules V3–V5 and V8–V12.
 */
import { CodedError, toCodedError } from '@proofcast/shared';
import type { ChunkEntry, KeyPoint, OpenEpoch } from './recording/recording-index.ts';

/** The recording, as a reader needs it. */
export interface OutboxSource {
  /** Number of the chunk that will come next. */
  readonly nextSequence: number;
  /** All epochs; number n is the n-th. */
  readonly epochs: readonly OpenEpoch[];
  readonly publisherClockOffsetUs: number;
  /** Of the current epoch. */
  readonly newestKey: KeyPoint | null;
  /** The newest one that is not later than `timeUs`, else the first; null when there is none. */
  keyPointAt(timeUs: number): KeyPoint | null;
  nextKeyPoint(after: KeyPoint): KeyPoint | null;
  /** Null when there is no such chunk yet. */
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
  /**
   * Bytes directly before the payload, in the same memory, that a carrier may write what stands before the payload on
   * the wire into, once; null when there are none.
   */
  readonly headroom: Uint8Array | null;
}

/** The frame of a chunk, or of a part of one. For those who are live it is made once and shared by all. */
export function mediaFrame(
  entry: ChunkEntry,
  payload: Uint8Array,
  headroom: Uint8Array | null = null,
): OutboxFrame {
  const { epoch, sequence, captureTimeUs } = entry;
  return { kind: 'media', epoch, sequence, captureTimeUs, isDiscontinuity: false, payload, headroom };
}

/** Where a reader's data goes. */
export interface OutboxSink {
  /** Bytes that were sent and have not left yet. */
  readonly bufferedBytes: number;
  /** Of all that was ever sent on the same connection, by whomever, the bytes that have left. */
  readonly leftBytes: number;
  /**
   * Runs what reads one frame and sends it, when it is this reader's turn of those on the same connection and not too
   * much waits there to leave. Throws as `task` does.
   */
  inTurn(task: () => Promise<void>): Promise<void>;
  /** Before the first frame of an epoch. */
  beginEpoch(epoch: OpenEpoch, publisherClockOffsetUs: number): void;
  /** `onSent` is called when the bytes have left, or never will. Without it, others may be sent the same frame. */
  send(frame: OutboxFrame, onSent?: () => void): void;
  /** All that was asked for was sent; what comes next is the key cluster at `atUs`. */
  hold(atUs: number): void;
  /** Nothing follows. */
  end(error: CodedError): void;
}

export interface OutboxLimits {
  readonly maxViewerBufferBytes: number;
  readonly maxViewerLagMs: number;
}

/** A place in the past by the publisher's wall clock, and up to where media is wanted; null: as far as there is any. */
export interface Rewind {
  readonly fromUs: number;
  readonly untilUs: number | null;
}

/** Where the reader is going. */
type Course =
  /** To the newest key cluster, whatever is left out. */
  | { readonly kind: 'live' }
  /** Through everything that comes behind `key`, the newest key point that was sent or skipped. */
  | { readonly kind: 'rewound'; untilUs: number | null; key: KeyPoint | null };

type Phase =
  /** There is no cluster yet that the reader could begin at. */
  | { readonly kind: 'waiting' }
  | CatchingUp
  /** All that was asked for was sent; `at` comes next. */
  | { readonly kind: 'held'; readonly at: KeyPoint }
  | { readonly kind: 'live' }
  /** The sink holds too much; what comes is left out. */
  | { readonly kind: 'lagging'; readonly sinceMs: number }
  | { readonly kind: 'ended' };

interface CatchingUp {
  readonly kind: 'catching-up';
  /** While a frame waits for its turn or to leave: since when nothing has left, and how much had until then. */
  stuck: { readonly sinceMs: number; readonly leftBytes: number } | null;
}

/** The chunk that is to be sent next, and how many bytes of it were sent already. */
interface Cursor {
  epoch: number;
  sequence: number;
  offset: number;
}

/** Where in a chunk the key cluster begins that is not wanted yet, by the word of a course. */
interface EndOfWanted {
  readonly at: KeyPoint;
  readonly offset: number;
  readonly course: Course & { kind: 'rewound' };
}

export class Outbox {
  readonly #source: OutboxSource;
  readonly #sink: OutboxSink;
  readonly #limits: OutboxLimits;
  readonly #nowMs: () => number;
  readonly #onEnded: () => void;
  #course: Course = { kind: 'live' };
  #phase: Phase = { kind: 'waiting' };
  /** The epoch whose beginning the reader was told. */
  #toldEpoch: number | null = null;
  /** Up to which byte of which epoch the reader was sent the media, without a hole since its last init segment. */
  #sent: { epoch: number; streamEnd: number } | null = null;
  /** Resolves when the frame has left that was sent last while catching up, so that going elsewhere piles up nothing. */
  #leaving: Promise<void> = Promise.resolve();

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
  start(rewind: Rewind | null = null): void {
    if (rewind !== null) this.seek(rewind);
    else this.#beginAtNewestKey();
  }

  /** Goes to a place in the past; nothing happens after the end. */
  seek({ fromUs, untilUs }: Rewind): void {
    if (this.#phase.kind === 'ended') return;
    this.#course = { kind: 'rewound', untilUs, key: null };
    const key = this.#source.keyPointAt(fromUs);
    if (key === null) this.#phase = { kind: 'waiting' };
    else this.#beginAt(key);
  }

  /** Lets a rewound reader go on; nothing happens to one that is not rewound, or has been promised as much. */
  extend(untilUs: number): void {
    const course = this.#course;
    if (course.kind !== 'rewound' || course.untilUs === null || untilUs <= course.untilUs) return;
    course.untilUs = untilUs;
    if (this.#phase.kind === 'held') this.#goOnAt(this.#phase.at, course);
  }

  /** Goes to the newest key cluster, also when the reader is live already. Nothing happens after the end. */
  live(): void {
    if (this.#phase.kind === 'ended') return;
    this.#course = { kind: 'live' };
    const key = this.#source.newestKey;
    if (key === null) this.#phase = { kind: 'waiting' };
    else this.#beginAt(key);
  }

  /** Takes a chunk that the source has just got, and its frame. Never throws and never waits. */
  offer(entry: ChunkEntry, frame: OutboxFrame): void {
    switch (this.#phase.kind) {
      case 'waiting':
        return this.#course.kind === 'live' ? this.#beginAtNewestKey() : this.#goOn(this.#course);
      case 'catching-up':
        return this.#endIfStuck(this.#phase);
      case 'live':
        return this.#offerLive(entry, frame);
      case 'lagging':
        if (this.#sink.bufferedBytes <= this.#limits.maxViewerBufferBytes / 2)
          return this.#beginAtNewestKey();
        return this.#endIfTooSlow(this.#phase.sinceMs);
      case 'held':
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

  #offerLive(entry: ChunkEntry, frame: OutboxFrame): void {
    const sent = this.#sent;
    if (sent?.epoch !== entry.epoch) {
      this.#phase = { kind: 'waiting' };
      return this.#beginAtNewestKey();
    }
    if (entry.kind === 'event') return;
    if (this.#sink.bufferedBytes > this.#limits.maxViewerBufferBytes) {
      this.#phase = { kind: 'lagging', sinceMs: this.#nowMs() };
      return;
    }
    sent.streamEnd += frame.payload.length;
    this.#sink.send(frame);
  }

  /** Catches up from the newest key cluster, unless the reader has been sent that already. */
  #beginAtNewestKey(): void {
    const key = this.#source.newestKey;
    if (key === null) return;
    if (this.#sent?.epoch === key.epoch && key.streamStart < this.#sent.streamEnd) return;
    this.#beginAt(key);
  }

  /** The next key point of a rewound reader that has sent all there is before it. */
  #goOn(course: Course & { kind: 'rewound' }): void {
    const next = course.key === null ? this.#source.newestKey : this.#source.nextKeyPoint(course.key);
    if (next === null) this.#phase = { kind: 'waiting' };
    else if (isBeyond(course, next)) this.#hold(next);
    else this.#goOnAt(next, course);
  }

  #goOnAt(key: KeyPoint, course: Course & { kind: 'rewound' }): void {
    if (this.#sent?.epoch !== key.epoch) return this.#beginAt(key);
    course.key = key;
    this.#catchUp(async (phase) => this.#sendFrom(cursorAt(key), phase));
  }

  #hold(at: KeyPoint): void {
    this.#phase = { kind: 'held', at };
    this.#sink.hold(at.timeUs);
  }

  #beginAt(key: KeyPoint): void {
    if (this.#course.kind === 'rewound') this.#course.key = key;
    this.#catchUp(async (phase) => {
      phase.stuck = this.#notStuckYet();
      await this.#leaving;
      if (this.#phase !== phase) return;
      await this.#sendInit(key, phase);
      await this.#sendFrom(cursorAt(key), phase);
    });
  }

  #catchUp(run: (phase: CatchingUp) => Promise<void>): void {
    const phase: CatchingUp = { kind: 'catching-up', stuck: null };
    this.#phase = phase;
    run(phase).catch((error: unknown) => {
      if (this.#phase === phase) this.end(toCodedError(error));
    });
  }

  /** Sends what there is from the cursor on, as long as the phase lasts. */
  async #sendFrom(cursor: Cursor, phase: CatchingUp): Promise<void> {
    while (this.#phase === phase) {
      const later = this.#laterKey();
      if (later !== null) return this.#beginAt(later);
      const entry = this.#source.entry(cursor.sequence);
      if (entry === null) {
        this.#course = { kind: 'live' };
        this.#phase = { kind: 'live' };
        return;
      }
      if (entry.epoch !== cursor.epoch) return this.#onEndOfEpoch();
      if (entry.kind === 'media') {
        const end = await this.#sendChunk({ entry, offset: cursor.offset }, phase);
        if (this.#phase !== phase) return;
        if (end !== null) {
          const { course } = end;
          // What it had asked for may have become more meanwhile.
          if (isBeyond(course, end.at)) return this.#hold(end.at);
          course.key = end.at;
          cursor.offset = end.offset;
          continue;
        }
      }
      cursor.sequence += 1;
      cursor.offset = 0;
    }
  }

  /** Where a reader that is to be live goes on when more lies before that than a live one's sink may hold. */
  #laterKey(): KeyPoint | null {
    if (this.#course.kind !== 'live' || this.#sent === null) return null;
    const key = this.#source.newestKey;
    if (key?.epoch !== this.#sent.epoch) return null;
    return key.streamStart - this.#sent.streamEnd > this.#limits.maxViewerBufferBytes ? key : null;
  }

  /** Sends what is wanted of a chunk from `offset` on. Gives what is not, or null when all of it is. */
  async #sendChunk(
    { entry, offset }: { entry: ChunkEntry; offset: number },
    phase: CatchingUp,
  ): Promise<EndOfWanted | null> {
    let end: EndOfWanted | null = null;
    await this.#sendInTurn(phase, async () => {
      const payload = await this.#source.read(entry);
      if (this.#phase !== phase) return null;
      end = this.#endOfWanted(entry);
      // Also when nothing is left of the chunk: it may end where the next key cluster begins.
      const wanted = payload.subarray(offset, end?.offset);
      if (wanted.length === 0) return null;
      if (this.#sent !== null) this.#sent.streamEnd += wanted.length;
      return mediaFrame(entry, wanted);
    });
    return end;
  }

  /** Null when all of the chunk is wanted. */
  #endOfWanted(entry: ChunkEntry): EndOfWanted | null {
    const course = this.#course;
    if (course.kind === 'live' || course.key === null) return null;
    for (;;) {
      const next = this.#source.nextKeyPoint(course.key);
      if (next?.epoch !== entry.epoch || next.sequence > entry.sequence) return null;
      // One in an earlier chunk was not known yet when that was sent.
      if (next.sequence === entry.sequence && isBeyond(course, next)) {
        return { at: next, offset: next.offset, course };
      }
      course.key = next;
    }
  }

  #onEndOfEpoch(): void {
    this.#phase = { kind: 'waiting' };
    if (this.#course.kind === 'live') this.#beginAtNewestKey();
    else this.#goOn(this.#course);
  }

  async #sendInit(key: KeyPoint, phase: CatchingUp): Promise<void> {
    const epoch = this.#source.epochs[key.epoch];
    if (epoch === undefined || epoch.init === null) {
      throw new Error('A key cluster is known, but not the init segment before it.');
    }
    const payload = epoch.init;
    await this.#sendInTurn(phase, () => {
      if (this.#toldEpoch !== epoch.number) {
        this.#toldEpoch = epoch.number;
        this.#sink.beginEpoch(epoch, this.#source.publisherClockOffsetUs);
      }
      const isDiscontinuity = this.#sent !== null;
      this.#sent = { epoch: key.epoch, streamEnd: key.streamStart };
      return {
        kind: 'init',
        epoch: key.epoch,
        sequence: key.sequence,
        captureTimeUs: this.#source.entry(key.sequence)?.captureTimeUs ?? 0,
        isDiscontinuity,
        payload,
        headroom: null,
      };
    });
  }

  /** Sends the frame that `make` gives when it is this reader's turn, and waits until it has left. */
  async #sendInTurn(
    phase: CatchingUp,
    make: () => OutboxFrame | null | Promise<OutboxFrame | null>,
  ): Promise<void> {
    phase.stuck = this.#notStuckYet();
    await this.#sink.inTurn(async () => {
      if (this.#phase !== phase) return;
      const frame = await make();
      if (frame === null) return;
      this.#leaving = new Promise((resolve) => this.#sink.send(frame, resolve));
    });
    if (this.#phase !== phase) return;
    await this.#leaving;
    phase.stuck = null;
  }

  /** A reader that catches up may take long for one frame, but it has to take something while there is something. */
  #endIfStuck(phase: CatchingUp): void {
    if (phase.stuck === null) return;
    const { leftBytes, bufferedBytes } = this.#sink;
    if (bufferedBytes > 0 && leftBytes <= phase.stuck.leftBytes) this.#endIfTooSlow(phase.stuck.sinceMs);
    else phase.stuck = this.#notStuckYet();
  }

  #notStuckYet(): { sinceMs: number; leftBytes: number } {
    return { sinceMs: this.#nowMs(), leftBytes: this.#sink.leftBytes };
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

function cursorAt({ epoch, sequence, offset }: KeyPoint): Cursor {
  return { epoch, sequence, offset };
}

function isBeyond({ untilUs }: Course & { kind: 'rewound' }, { timeUs }: KeyPoint): boolean {
  return untilUs !== null && timeUs >= untilUs;
}
