/**
 * One recording whose journal is open: what is known of it, and its bytes. It is live, or it has ended and its journal
 * was not removed yet. Who reads from it holds it, so that it is not closed under a reader.
 */
import { CodedError, type Chunk, type RecordingEvent } from '@proofcast/shared';
import type { Journal } from '../journal/journal.ts';
import type { EndReason, RecordingIdentity } from '../journal/journal-start.ts';
import type { ChunkEntry } from './chunk-table.ts';
import { planParts, type PartPlan } from './parts.ts';
import type { RecordingIndex } from './recording-index.ts';
import { openRope, ropeSize, type Rope } from './rope.ts';

/** A player asks for many ranges of one part; a few may play the same recording at different times. */
const KEPT_ROPES = 4;

/** Why nothing followed, and since when. */
export interface Ending {
  readonly reason: EndReason;
  /** Relay's clock. */
  readonly atMs: number;
  /** Publisher's clock, as well as the relay knew it; null when nobody knows any more. */
  readonly publisherAtMs: number | null;
}

export class OpenRecording {
  readonly journal: Journal;
  readonly index: RecordingIndex;
  #ending: Ending | null;
  /** Least time between capture and arrival: the one with the least waiting in it (a spool, a slow network). */
  #leastDelayUs = Number.POSITIVE_INFINITY;
  #plan: { readonly chunkCount: number; readonly parts: readonly PartPlan[] } | null = null;
  /** Of the plan with the same parts. */
  #sizes: { readonly parts: readonly PartPlan[]; readonly bytes: readonly number[] } | null = null;
  readonly #ropes = new Map<string, Rope>();
  #holds = 0;
  readonly #waiters: (() => void)[] = [];

  constructor(parts: { journal: Journal; index: RecordingIndex; ending: Ending | null }) {
    this.journal = parts.journal;
    this.index = parts.index;
    this.#ending = parts.ending;
    const { chunks } = parts.index;
    for (let n = 0; n < chunks.length; n += 1) {
      this.#learnDelay({ receivedAtUs: chunks.receivedAtUs(n), captureTimeUs: chunks.captureTimeUs(n) });
    }
  }

  get identity(): RecordingIdentity {
    return this.journal.identity;
  }

  get ending(): Ending | null {
    return this.#ending;
  }

  /** Relay's clock minus publisher's clock, microseconds, as far as the chunks tell. */
  get clockOffsetUs(): number {
    return Number.isFinite(this.#leastDelayUs) ? this.#leastDelayUs : 0;
  }

  /** Relay's clock when the newest chunk came; null when there is none. */
  get lastReceivedAtMs(): number | null {
    const { chunks } = this.index;
    return chunks.length === 0 ? null : Math.floor(chunks.receivedAtUs(chunks.length - 1) / 1000);
  }

  /** What a snapshot can be made of that stays the same for ever: chunks that no crash takes back. */
  get snapshotCount(): number {
    return this.journal.durableCount;
  }

  /**
   * Takes the next chunk, whose number, hash and chain are right. Throws as `RecordingIndex.check` does, and
   * `STORAGE_FAILED` when the journal is closed; nothing was taken then.
   */
  append(chunk: Chunk, receivedAtUs: number): { entry: ChunkEntry; event: RecordingEvent | null } {
    const received = { ...chunk, receivedAtUs };
    const checked = this.index.check(received);
    const entry = checked.store(this.journal.append(received));
    this.#learnDelay(entry);
    this.#ending = null;
    return { entry, event: checked.event };
  }

  /** Writes down that nothing follows, as far as is known; resolves when all is durable. Throws `STORAGE_FAILED`. */
  async end(ending: Ending): Promise<void> {
    const { reason, atMs, publisherAtMs } = ending;
    // An estimate, from a clock that may be anywhere; a record takes only what can be read again.
    const captureTimeUs = Math.min(Math.max(0, (publisherAtMs ?? 0) * 1000), Number.MAX_SAFE_INTEGER);
    await this.journal.end({ reason, nowUs: atMs * 1000, captureTimeUs });
    this.#ending = ending;
  }

  /** The publisher has come back. */
  resume(): void {
    this.#ending = null;
  }

  /** The webm files that can be made of the first `chunkCount` chunks; empty without a picture. */
  parts(chunkCount: number = this.snapshotCount): readonly PartPlan[] {
    // Whoever asks for one part of a count soon asks for the next.
    if (this.#plan?.chunkCount !== chunkCount) {
      this.#plan = { chunkCount, parts: planParts(this.index, { chunkCount }) };
    }
    return this.#plan.parts;
  }

  /** How large these files are. Leaves the ropes alone that players are reading. */
  sizes(chunkCount: number = this.snapshotCount): readonly number[] {
    const parts = this.parts(chunkCount);
    if (this.#sizes?.parts !== parts) {
      const { index } = this;
      this.#sizes = { parts, bytes: parts.map((plan) => ropeSize({ plan, index })) };
    }
    return this.#sizes.bytes;
  }

  /** One of these files. Throws `RECORDING_EMPTY` without a picture, and `NOT_FOUND` when there are fewer parts. */
  rope(part: number, chunkCount: number): Rope {
    const key = `${part} ${chunkCount}`;
    const known = this.#ropes.get(key);
    // The map forgets what was used longest ago.
    this.#ropes.delete(key);
    const rope = known ?? this.#makeRope(part, chunkCount);
    this.#ropes.set(key, rope);
    const [oldest] = this.#ropes.keys();
    if (this.#ropes.size > KEPT_ROPES && oldest !== undefined) this.#ropes.delete(oldest);
    return rope;
  }

  /** Keeps the files open until the returned function is called; that is idempotent. */
  hold(): () => void {
    this.#holds += 1;
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      this.#holds -= 1;
      if (this.#holds === 0) for (const wake of this.#waiters.splice(0)) wake();
    };
  }

  get isHeld(): boolean {
    return this.#holds > 0;
  }

  /** Resolves when nobody holds it. */
  async whenFree(): Promise<void> {
    if (this.#holds > 0) await new Promise<void>((resolve) => this.#waiters.push(resolve));
  }

  /** Closes the files, also under those who hold it: their reading fails. Idempotent. */
  async close(): Promise<void> {
    this.#ropes.clear();
    await this.journal.close();
  }

  #makeRope(part: number, chunkCount: number): Rope {
    const plans = this.parts(chunkCount);
    const plan = plans[part];
    if (plan !== undefined) {
      const { recordingId } = this.identity;
      const readBytes = this.journal.readBytes.bind(this.journal);
      return openRope({ recordingId, plan, index: this.index, readBytes });
    }
    if (plans.length === 0) throw new CodedError('RECORDING_EMPTY', 'No picture has arrived yet.');
    throw new CodedError('NOT_FOUND', `The recording has ${plans.length} parts; there is no part ${part}.`);
  }

  #learnDelay({ receivedAtUs, captureTimeUs }: { receivedAtUs: number; captureTimeUs: number }): void {
    this.#leastDelayUs = Math.min(this.#leastDelayUs, receivedAtUs - captureTimeUs);
  }
}
