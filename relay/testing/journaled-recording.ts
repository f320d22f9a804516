/** A recording in a real journal, with the index of it: made as a publisher makes it, without sockets. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createId, type Chunk, type EpochStart, type RecordingEvent } from '@proofcast/shared';
import { journalFolder, type JournalFolder } from '../src/journal/journal-files.ts';
import { Journal } from '../src/journal/journal.ts';
import { parseSegmentName } from '../src/journal/journal-start.ts';
import { planParts, type PartPlan } from '../src/recording/parts.ts';
import { RecordingIndex } from '../src/recording/recording-index.ts';
import { openRope, type Rope } from '../src/recording/rope.ts';
import { ChunkMaker } from './chunk-maker.ts';

const CHAIN = new Uint8Array(32).fill(1);

export class JournaledRecording {
  readonly path: string;
  readonly maker: ChunkMaker;
  readonly #folder: JournalFolder;
  #journal: Journal;
  #index: RecordingIndex;

  private constructor(parts: { path: string; maker: ChunkMaker; folder: JournalFolder; journal: Journal }) {
    this.path = parts.path;
    this.maker = parts.maker;
    this.#folder = parts.folder;
    this.#journal = parts.journal;
    this.#index = new RecordingIndex({ chain: CHAIN, maxChunks: 1_000_000 });
  }

  /** In a temporary folder, which `close` removes. */
  static async create(
    options: { startedAtUs?: number; wrapFolder?: (folder: JournalFolder) => JournalFolder } = {},
  ): Promise<JournaledRecording> {
    const path = await mkdtemp(join(tmpdir(), 'proofcast-rope-'));
    const real = journalFolder(path);
    const folder = options.wrapFolder?.(real) ?? real;
    const ids = { streamId: createId('stream'), deviceId: createId('device') };
    const maker = new ChunkMaker(ids, options.startedAtUs ?? 1_790_000_000_000_000);
    const journal = await Journal.create({
      folder,
      identity: { ...maker.start, companyId: createId('company') },
      chain: CHAIN,
      nowUs: maker.start.startedAtUs,
      markDirty: () => undefined,
    });
    return new JournaledRecording({ path, maker, folder, journal });
  }

  get index(): RecordingIndex {
    return this.#index;
  }

  get journal(): Journal {
    return this.#journal;
  }

  epoch(fields: Partial<EpochStart> = {}): void {
    this.add(this.maker.epoch(fields));
  }

  event(event: RecordingEvent, captureTimeUs?: number): void {
    this.add(this.maker.event(event, captureTimeUs));
  }

  media(slices: Iterable<Uint8Array>, captureTimeUs?: number): void {
    for (const slice of slices) for (const chunk of this.maker.media(slice, captureTimeUs)) this.add(chunk);
  }

  add(chunk: Chunk): void {
    const received = { ...chunk, receivedAtUs: chunk.captureTimeUs + 2000 };
    this.#index.check(received).store(this.#journal.append(received));
  }

  /** Makes durable what was added. */
  flush(): Promise<void> {
    return this.#journal.flush();
  }

  /** Reads the journal again, as after a crash, into a new index. */
  async recover(): Promise<void> {
    await this.#journal.close();
    const index = new RecordingIndex({ chain: CHAIN, maxChunks: 1_000_000 });
    const names = await this.#folder.list();
    const numbers = names.map((name) => parseSegmentName(name)?.segment ?? 0).toSorted((a, b) => a - b);
    const journal = await Journal.recover({
      folder: this.#folder,
      recordingId: this.maker.start.recordingId,
      segmentNumbers: numbers,
      markDirty: () => undefined,
      onRecord(record, stored) {
        const { kind } = record;
        if (kind === 'media' || kind === 'event') index.check({ ...record, kind }).store(stored);
      },
      onCut: () => undefined,
    });
    if (journal === null) throw new Error('Nothing was recovered.');
    this.#journal = journal;
    this.#index = index;
  }

  plans(chunkCount?: number): PartPlan[] {
    return planParts(this.#index, chunkCount === undefined ? {} : { chunkCount });
  }

  rope(part = 0, chunkCount?: number): Rope {
    const plan = this.plans(chunkCount)[part];
    if (plan === undefined) throw new Error(`There is no part ${part}.`);
    return this.ropeOf(plan);
  }

  ropeOf(plan: PartPlan): Rope {
    const readBytes = this.#journal.readBytes.bind(this.#journal);
    return openRope({ recordingId: this.maker.start.recordingId, plan, index: this.#index, readBytes });
  }

  async close(): Promise<void> {
    await this.#journal.close();
    await rm(this.path, { recursive: true, force: true });
  }
}

/** The bytes `[start, end)` of a rope; all of them when nothing else is said. */
export async function ropeBytes(rope: Rope, start = 0, end: number = rope.sizeBytes): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of rope.read(start, end)) parts.push(part);
  return Buffer.concat(parts);
}
