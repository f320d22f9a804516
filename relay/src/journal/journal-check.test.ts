import { spawn } from 'node:child_process';
import { hash } from 'node:crypto';
import { once } from 'node:events';
import {
  chmod,
  copyFile,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createId, encodeStartRecord } from '@proofcast/shared';
import { freshSeed, seededRandom } from '@proofcast/shared/testing/random';
import { loadWebmClip } from '@proofcast/shared/testing/webm-clip';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ChunkMaker } from '../../testing/chunk-maker.ts';
import { checkJournals, type JournalReport } from './journal-check.ts';
import { journalFolder } from './journal-files.ts';
import { segmentName, type RecordingIdentity } from './journal-start.ts';
import { Journal } from './journal.ts';
import { RECORD_HEADER_BYTES } from './record.ts';

const PROOFCAST = join(import.meta.dirname, '../proofcast.ts');

let dataDir: string;
let journalsDir: string;
const opened: Journal[] = [];

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'proofcast-check-'));
  journalsDir = join(dataDir, 'journals');
  await mkdir(journalsDir);
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((journal) => journal.close()));
  await rm(dataDir, { recursive: true, force: true });
});

const CHUNK_BYTES = 6_000;

/** What a publisher makes of a real recording, in one epoch. */
function makeChunks(): ChunkMaker {
  const maker = new ChunkMaker({ streamId: createId('stream'), deviceId: createId('device') });
  maker.epoch();
  const { bytes } = loadWebmClip('vp8');
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) maker.media(bytes.subarray(at, at + CHUNK_BYTES));
  return maker;
}

async function createJournal(maker: ChunkMaker): Promise<Journal> {
  const identity: RecordingIdentity = { ...maker.start, companyId: createId('company') };
  const journal = await Journal.create({
    folder: journalFolder(journalsDir),
    identity,
    chain: hash('sha256', encodeStartRecord(maker.start), 'buffer'),
    nowUs: maker.start.startedAtUs,
    markDirty: () => undefined,
  });
  opened.push(journal);
  return journal;
}

/** The journal of `maker`, closed; each chunk was durable before the next one came. */
async function writeJournal(maker: ChunkMaker, { isEnded = false } = {}): Promise<string> {
  const journal = await createJournal(maker);
  for (const chunk of maker.chunks) {
    journal.append({ ...chunk, receivedAtUs: chunk.captureTimeUs });
    await journal.flush();
  }
  if (isEnded) await journal.end({ reason: 'stopped', nowUs: maker.start.startedAtUs, captureTimeUs: 0 });
  await journal.close();
  return join(journalsDir, segmentName(maker.start.recordingId, 0));
}

async function check(): Promise<JournalReport[]> {
  const reports: JournalReport[] = [];
  for await (const report of checkJournals(journalsDir)) reports.push(report);
  return reports;
}

async function runCommand(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const child = spawn(process.execPath, [PROOFCAST, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let [out, err] = ['', ''];
  child.stdout.on('data', (part: Buffer) => (out += part.toString()));
  child.stderr.on('data', (part: Buffer) => (err += part.toString()));
  const [code] = (await once(child, 'close')) as [number];
  return { code, out, err };
}

/** Everything in the data directory, with contents and times of change. */
async function snapshot(): Promise<unknown[]> {
  const names = (await readdir(dataDir, { recursive: true })).toSorted();
  return Promise.all(
    names.map(async (name) => {
      const path = join(dataDir, name);
      const { mtimeNs, ctimeNs, size, mode } = await stat(path, { bigint: true });
      return [name, size, mode, mtimeNs, ctimeNs];
    }),
  );
}

describe('journal check', () => {
  it('[O9] counts what is in a whole journal, and ends with 0', async () => {
    const maker = makeChunks();
    await writeJournal(maker, { isEnded: true });
    const payloadBytes = maker.chunks.reduce((sum, { payload }) => sum + payload.length, 0);
    const { recordingId } = maker.start;
    expect(await check()).toEqual([
      {
        recordingId,
        files: [`${recordingId}.journal`],
        content: expect.objectContaining({
          records: maker.chunks.length + 2,
          chunks: maker.chunks.length,
          epochs: 1,
          payloadBytes,
          endReason: 'stopped',
        }),
        verdict: { kind: 'whole' },
      },
    ]);
    const { code, out } = await runCommand('journal', 'check', dataDir);
    expect([code, out]).toEqual([0, expect.stringContaining(`${recordingId}  whole`)]);
  });

  it('[O9] says where a tail is torn, which is where recovery cuts it, and ends with 1', async () => {
    const maker = makeChunks();
    const file = await writeJournal(maker);
    const bytes = await readFile(file);
    const last = maker.chunks.at(-1)?.payload.length ?? 0;
    const lastStart = bytes.length - last - RECORD_HEADER_BYTES;
    await writeFile(file, bytes.subarray(0, bytes.length - 10));

    const [report] = await check();
    expect(report).toMatchObject({
      content: { chunks: maker.chunks.length - 1 },
      verdict: {
        kind: 'torn',
        file: segmentName(maker.start.recordingId, 0),
        atByte: lastStart,
        cutBytes: bytes.length - 10 - lastStart,
      },
    });
    const { code, out } = await runCommand('journal', 'check', file, '--json');
    expect([code, JSON.parse(out)]).toEqual([1, JSON.parse(JSON.stringify(report))]);

    const cuts: unknown[] = [];
    const recovered = await Journal.recover({
      folder: journalFolder(journalsDir),
      recordingId: maker.start.recordingId,
      segmentNumbers: [0],
      markDirty: () => undefined,
      onRecord: () => undefined,
      onCut: (cut) => cuts.push(cut),
    });
    if (recovered !== null) opened.push(recovered);
    expect(cuts).toEqual([expect.objectContaining({ validBytes: lastStart })]);
  });

  it('[O9] calls a file in which nothing was ever whole torn', async () => {
    const { recordingId } = makeChunks().start;
    await writeFile(join(journalsDir, segmentName(recordingId, 0)), Buffer.alloc(100));
    expect(await check()).toMatchObject([
      { recordingId, verdict: { kind: 'torn', atByte: 0, cutBytes: 100 } },
    ]);
  });

  it('[O9] finds every changed bit that was confirmed, at its place, and ends with 2', async () => {
    const maker = makeChunks();
    const file = await writeJournal(maker);
    const bytes = await readFile(file);
    const starts = startsOf(bytes, maker);
    const seed = freshSeed();
    const random = seededRandom(seed);
    for (let round = 0; round < 40; round++) {
      const changed = Buffer.from(bytes);
      // Not in the last record: nothing confirms it yet, so it counts as torn.
      const at = random.integer(0, starts.at(-1) ?? 0);
      changed[at] = (changed[at] ?? 0) ^ (1 << random.integer(0, 8));
      await writeFile(file, changed);
      const record = starts.findLastIndex((start) => start <= at);
      const [report] = await check();
      // The start record is number 0.
      const place = {
        file: segmentName(maker.start.recordingId, 0),
        atByte: starts[record],
        sequence: Math.max(0, record - 1),
      };
      expect(report?.verdict, `seed ${seed}, byte ${at}`).toMatchObject({ kind: 'damaged', place });
    }
    const { code, out } = await runCommand('journal', 'check', dataDir);
    expect([code, out]).toEqual([2, expect.stringContaining('DAMAGED')]);
  });

  it('[O9] finds a chunk that was replaced by another, although every checksum is right', async () => {
    const maker = makeChunks();
    const forged = new ChunkMaker(maker.start, maker.start.startedAtUs);
    forged.epoch({ sourceName: 'Another screen' });
    const journal = await createJournal(maker);
    const { chain } = maker.chunks[0]!;
    for (const chunk of [{ ...forged.chunks[0]!, chain }, ...maker.chunks.slice(1)]) {
      journal.append({ ...chunk, receivedAtUs: chunk.captureTimeUs });
    }
    await journal.flush();
    expect(await check()).toMatchObject([{ verdict: { kind: 'damaged', place: { sequence: 0 } } }]);
  });

  it('[O9] goes on after a journal that is damaged, and lets the worst decide', async () => {
    const [whole, torn, damaged] = [makeChunks(), makeChunks(), makeChunks()];
    await writeJournal(whole);
    const tornFile = await writeJournal(torn);
    await writeFile(tornFile, (await readFile(tornFile)).subarray(0, -1));
    const damagedFile = await writeJournal(damaged);
    const file = await open(damagedFile, 'r+');
    await file.write(Buffer.of(1, 2, 3), 0, 3, RECORD_HEADER_BYTES);
    await file.close();
    const kinds = Object.fromEntries((await check()).map((one) => [one.recordingId, one.verdict.kind]));
    expect(kinds).toEqual({
      [whole.start.recordingId]: 'whole',
      [torn.start.recordingId]: 'torn',
      [damaged.start.recordingId]: 'damaged',
    });
    expect((await runCommand('journal', 'check', dataDir)).code).toBe(2);
    expect((await runCommand('journal', 'check', tornFile)).code).toBe(1);
  });

  it('[O9] ends with 3 when it cannot look', async () => {
    const nowhere = await runCommand('journal', 'check', join(dataDir, 'nowhere'));
    expect([nowhere.code, nowhere.out]).toEqual([3, '']);
    expect(nowhere.err).toContain('ENOENT');
    expect((await runCommand('journal', 'check', import.meta.dirname)).code).toBe(3);
    expect((await runCommand('journal', 'mend', dataDir)).err).toContain('Usage');
    expect((await runCommand('journal', 'check', dataDir, '--force')).code).toBe(3);
    expect((await runCommand('journal', 'check', dataDir)).code).toBe(0);
  });

  it('[O10] leaves every file as it is, also those that recovery would cut or remove', async () => {
    const maker = makeChunks();
    const file = await writeJournal(maker);
    await copyFile(file, join(journalsDir, segmentName(createId('recording'), 0)));
    await writeFile(file, (await readFile(file)).subarray(0, -1));
    await writeFile(join(journalsDir, segmentName(createId('recording'), 0)), Buffer.alloc(10));
    await chmod(journalsDir, 0o500);
    const before = await snapshot();
    expect((await runCommand('journal', 'check', dataDir)).code).toBe(2);
    expect(await snapshot()).toEqual(before);
    await chmod(journalsDir, 0o700);
  });

  it('[O10] calls a journal whole that is being written while it looks', async () => {
    const maker = makeChunks();
    const journal = await createJournal(maker);
    const written = new AbortController();
    const writing = (async () => {
      for (const chunk of maker.chunks) {
        journal.append({ ...chunk, receivedAtUs: chunk.captureTimeUs });
        await journal.flush();
      }
    })().finally(() => written.abort());
    const seen: number[] = [];
    while (!written.signal.aborted) {
      const [report] = await check();
      expect(report?.verdict).toEqual({ kind: 'whole' });
      seen.push(report?.content.chunks ?? -1);
    }
    await writing;
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
    expect(seen[0]).toBeLessThan(maker.chunks.length);
    expect((await check())[0]?.content.chunks).toBe(maker.chunks.length);
  });
});

/** Where each record of a journal begins. */
function startsOf(bytes: Buffer, maker: ChunkMaker): number[] {
  const payloadBytes = maker.chunks.map(({ payload }) => payload.length);
  let at = RECORD_HEADER_BYTES + bytes.readUInt32BE(8);
  const starts = [0];
  for (const length of payloadBytes) {
    starts.push(at);
    at += RECORD_HEADER_BYTES + length;
  }
  expect(at).toBe(bytes.length);
  return starts;
}
