/**
 * The frames of one recording on this disk, in segment files: appended at the end, deleted from the beginning when the
 * relay has them. Counts what is kept and what has become durable.
 */
import { CHUNK_HEADER_BYTES } from '@proofcast/shared';
import { join } from 'node:path';
import { syncDirectory } from './atomic-file.ts';
import type { SpoolPosition } from './spool-position.ts';
import { segmentName, type RecoveredFrames } from './spool-recovery.ts';
import type { StoredFrame } from './spool-frames.ts';
import { SpoolSegment } from './spool-segment.ts';

interface KeptSegment {
  readonly segment: SpoolSegment;
  lastSequence: number;
  /** An append to it failed, so nothing may follow what it holds. */
  isBroken: boolean;
}

export class KeptChunks {
  readonly #directory: string;
  readonly #segmentBytes: number;
  readonly #onFreed: (bytes: number) => void;
  readonly #segments: KeptSegment[] = [];
  readonly #kept = new Map<number, { segment: SpoolSegment; frame: StoredFrame }>();
  #removing: Promise<void> = Promise.resolve();
  #appended = 0;
  #durable = 0;
  #backlogBytes = 0;
  #durableBytes = 0;

  /** `onFreed` hears how many bytes of frames the disk has back. */
  constructor(directory: string, segmentBytes: number, onFreed: (bytes: number) => void) {
    this.#directory = directory;
    this.#segmentBytes = segmentBytes;
    this.#onFreed = onFreed;
  }

  get appendedCount(): number {
    return this.#appended;
  }

  get durableCount(): number {
    return this.#durable;
  }

  get backlogBytes(): number {
    return this.#backlogBytes;
  }

  get durableBytes(): number {
    return this.#durableBytes;
  }

  /** Size of all frames in the segment files, durable ones included that share a file with others. */
  get frameBytes(): number {
    return this.#segments.reduce((sum, { segment }) => sum + segment.frameBytes, 0);
  }

  /** Takes what was found on the disk; call before anything else. */
  takeOver({ segments, firstSequence, position }: RecoveredFrames): void {
    for (const { segment, frames, lastSequence } of segments) {
      const kept = { segment, lastSequence, isBroken: false };
      this.#segments.push(kept);
      for (const frame of frames) this.#keep(kept, frame);
      // What is damaged behind the last whole frame belongs to it too, and goes only when the relay has it.
      kept.lastSequence = lastSequence;
    }
    this.#durable = firstSequence;
    this.#appended = position.nextSequence;
  }

  /**
   * Resolves when all frames, which follow `position`, are on the disk. After an error none of them counts, and they
   * or others may be appended: that goes to a new file, because what a failed sync has left behind is unknown.
   */
  async append(frames: readonly Uint8Array[], position: SpoolPosition): Promise<void> {
    const current = await this.#currentSegment(position);
    let offset = current.segment.sizeBytes;
    try {
      await current.segment.append(frames);
    } catch (error) {
      current.isBroken = true;
      await current.segment.cutTail();
      throw error;
    }
    for (const { length } of frames) {
      const payloadBytes = length - CHUNK_HEADER_BYTES;
      this.#keep(current, { sequence: this.#appended, offset, frameBytes: length, payloadBytes });
      offset += length;
    }
  }

  /** Undefined when chunk `sequence` is not kept. */
  find(sequence: number): StoredFrame | undefined {
    return this.#kept.get(sequence)?.frame;
  }

  /** Throws when chunk `sequence` is not kept, or the disk does not give it back. */
  async read(sequence: number): Promise<Uint8Array> {
    const kept = this.#kept.get(sequence);
    if (!kept) throw new Error(`Chunk ${sequence} is not kept.`);
    return kept.segment.read(kept.frame);
  }

  /** Chunks 0 … n−1 need not be kept any more. */
  acknowledge(durableCount: number): void {
    for (; this.#durable < Math.min(durableCount, this.#appended); this.#durable += 1) {
      const payloadBytes = this.find(this.#durable)?.payloadBytes ?? 0;
      this.#kept.delete(this.#durable);
      this.#backlogBytes -= payloadBytes;
      this.#durableBytes += payloadBytes;
    }
    // The last segment stays: it is being written, and it tells a recovery where the recording ends.
    while (this.#segments.length > 1 && this.#segments[0] && this.#segments[0].lastSequence < this.#durable) {
      const { segment } = this.#segments.shift() as KeptSegment;
      // A file that cannot be deleted now is found and deleted after the next start.
      this.#removing = this.#removing
        .then(() => segment.remove())
        .catch(() => undefined)
        .then(() => this.#onFreed(segment.frameBytes));
    }
  }

  async close(): Promise<void> {
    await this.#removing;
    for (const { segment } of this.#segments) await segment.close();
  }

  async #currentSegment(position: SpoolPosition): Promise<KeptSegment> {
    const current = this.#segments.at(-1);
    if (current && !current.isBroken && current.segment.sizeBytes < this.#segmentBytes) return current;
    if (current?.isBroken && current.segment.frameBytes === 0) {
      // The next one has the same name, and takes the place of what cannot be deleted now.
      this.#segments.pop();
      await current.segment.remove().catch(() => undefined);
    }
    const path = join(this.#directory, segmentName(position.nextSequence));
    const segment = await SpoolSegment.create(path, position);
    // Its name is durable before the one before it may be deleted, so that the position is never lost.
    await syncDirectory(this.#directory).catch(async (error: unknown) => {
      await segment.remove();
      throw error;
    });
    const created = { segment, lastSequence: position.nextSequence, isBroken: false };
    this.#segments.push(created);
    return created;
  }

  #keep(current: KeptSegment, frame: StoredFrame): void {
    this.#kept.set(frame.sequence, { segment: current.segment, frame });
    current.lastSequence = frame.sequence;
    this.#appended = frame.sequence + 1;
    this.#backlogBytes += frame.payloadBytes;
  }
}
