/**
 * The frames of one recording on this disk, in segment files: appended at the end, deleted from the beginning when the
 * relay has them. Counts what is kept and what has become durable.
 */
import { CHUNK_HEADER_BYTES } from '@proofcast/shared';
import { join } from 'node:path';
import { syncDirectory } from './atomic-file.ts';
import { segmentName, type RecoveredFrames } from './spool-recovery.ts';
import { SpoolSegment, type StoredFrame } from './spool-segment.ts';

interface KeptSegment {
  readonly segment: SpoolSegment;
  lastSequence: number;
}

export class KeptChunks {
  readonly #directory: string;
  readonly #segmentBytes: number;
  readonly #segments: KeptSegment[] = [];
  readonly #kept = new Map<number, { segment: SpoolSegment; frame: StoredFrame }>();
  #removing: Promise<void> = Promise.resolve();
  #appended = 0;
  #durable = 0;
  #backlogBytes = 0;
  #durableBytes = 0;

  constructor(directory: string, segmentBytes: number) {
    this.#directory = directory;
    this.#segmentBytes = segmentBytes;
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

  /** Size of all segment files. */
  get sizeBytes(): number {
    return this.#segments.reduce((sum, { segment }) => sum + segment.sizeBytes, 0);
  }

  /** Takes what was found on the disk; call before anything else. */
  takeOver({ segments, firstSequence, nextSequence }: RecoveredFrames): void {
    for (const { segment, frames } of segments) {
      const kept = { segment, lastSequence: frames.at(-1)?.sequence ?? -1 };
      this.#segments.push(kept);
      for (const frame of frames) this.#keep(kept, frame);
    }
    this.#durable = firstSequence;
    this.#appended = nextSequence;
  }

  /** Resolves when all frames are on the disk. After an error nothing may be appended any more. */
  async append(frames: readonly Uint8Array[]): Promise<void> {
    const current = await this.#currentSegment();
    let offset = current.segment.sizeBytes;
    await current.segment.append(frames);
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

  /** Chunks 0 … n−1 need not be kept any more. Returns the size of the files that are given up. */
  acknowledge(durableCount: number): number {
    for (; this.#durable < Math.min(durableCount, this.#appended); this.#durable += 1) {
      const payloadBytes = this.find(this.#durable)?.payloadBytes ?? 0;
      this.#kept.delete(this.#durable);
      this.#backlogBytes -= payloadBytes;
      this.#durableBytes += payloadBytes;
    }
    let freedBytes = 0;
    // The last segment stays: it is being written, and it tells a recovery where the recording ends.
    while (this.#segments.length > 1 && this.#segments[0] && this.#segments[0].lastSequence < this.#durable) {
      const { segment } = this.#segments.shift() as KeptSegment;
      freedBytes += segment.sizeBytes;
      // A file that cannot be deleted now is found and deleted after the next start.
      this.#removing = this.#removing.then(() => segment.remove()).catch(() => undefined);
    }
    return freedBytes;
  }

  async close(): Promise<void> {
    await this.#removing;
    for (const { segment } of this.#segments) await segment.close();
  }

  async #currentSegment(): Promise<KeptSegment> {
    const current = this.#segments.at(-1);
    if (current && current.segment.sizeBytes < this.#segmentBytes) return current;
    const segment = await SpoolSegment.create(join(this.#directory, segmentName(this.#appended)));
    const created = { segment, lastSequence: this.#appended };
    this.#segments.push(created);
    await syncDirectory(this.#directory);
    return created;
  }

  #keep(current: KeptSegment, frame: StoredFrame): void {
    this.#kept.set(frame.sequence, { segment: current.segment, frame });
    current.lastSequence = frame.sequence;
    this.#appended = frame.sequence + 1;
    this.#backlogBytes += frame.payloadBytes;
  }
}
