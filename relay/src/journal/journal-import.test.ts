import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createId } from '@proofcast/shared';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ChunkMaker } from '../../testing/chunk-maker.ts';
import { FailingFolder, type FailingOperation } from '../../testing/failing-folder.ts';
import { importJournal, isUnfinishedImport } from './journal-import.ts';
import { journalFolder } from './journal-files.ts';
import { parseEnd } from './journal-start.ts';
import { Journal, type JournalChunk } from './journal.ts';
import type { JournalRecord } from './record.ts';

describe('a journal that is made of known chunks', () => {
  let path: string;
  let folder: FailingFolder;
  const maker = new ChunkMaker({ streamId: createId('stream'), deviceId: createId('device') });
  maker.epoch();
  // More than is synced at a time.
  for (let n = 0; n < 12; n += 1) maker.media(new Uint8Array(1024 * 1024).fill(n));
  const { recordingId } = maker.start;
  const identity = { ...maker.start, companyId: createId('company') };
  const chain = new Uint8Array(32).fill(7);

  beforeEach(async () => {
    path = await mkdtemp(join(tmpdir(), 'proofcast-import-'));
    folder = new FailingFolder(journalFolder(path));
  });
  afterEach(() => rm(path, { recursive: true, force: true }));

  async function* chunks(failure?: Error): AsyncGenerator<JournalChunk> {
    for (const chunk of maker.chunks) yield { ...chunk, receivedAtUs: chunk.captureTimeUs + 1 };
    if (failure !== undefined) throw failure;
  }

  const run = (failure?: Error): Promise<void> =>
    importJournal({
      folder,
      identity,
      chain,
      chunks: chunks(failure),
      endReason: 'publisher-lost',
      nowUs: 99_000,
    });

  test('[P4] is recovered as one that was received, with its end, and goes on', async () => {
    await run();
    expect(await readdir(path)).toEqual([`${recordingId}.journal`]);
    const records: JournalRecord[] = [];
    const writtenBytes = folder.writtenBytes;
    const journal = await Journal.recover({
      folder,
      recordingId,
      segmentNumbers: [0],
      leastChunkCount: maker.chunks.length,
      markDirty: () => undefined,
      onRecord: (record) => records.push(record),
      onCut: () => undefined,
    });
    const end = records.pop();
    expect(end && parseEnd(end)).toEqual({ reason: 'publisher-lost' });
    expect(records.map(({ sequence, payload }) => [sequence, payload.length, payload[0]])).toEqual(
      maker.chunks.map(({ sequence, payload }) => [sequence, payload.length, payload[0]]),
    );
    // All but the last record is known to be on disk, and is not written again.
    expect(folder.writtenBytes - writtenBytes).toBeLessThan(1024);
    expect(journal?.identity).toEqual(identity);
    const next: JournalChunk = { ...maker.draft(), kind: 'media', receivedAtUs: 1 };
    journal?.append(next);
    await journal?.flush();
    await journal?.close();
  });

  test.each<[FailingOperation, number]>([
    ['create', 0],
    ['write', 0],
    ['write', 1],
    ['datasync', 0],
    ['datasync', 1],
    ['rename', 0],
  ])(
    '[P4] leaves nothing when %s fails after %d that did not, and is made at the next attempt',
    async (operation, skip) => {
      folder.failures.push({ operation, code: 'EIO', skip });
      await expect(run()).rejects.toMatchObject({ code: 'EIO' });
      expect(await readdir(path)).toEqual([]);
      folder.failures.length = 0;
      await run();
      expect(await readdir(path)).toEqual([`${recordingId}.journal`]);
    },
  );

  test('[P4] leaves nothing when what it is made of cannot be had', async () => {
    await expect(run(new Error('a chunk differs'))).rejects.toThrow('a chunk differs');
    expect(await readdir(path)).toEqual([]);
  });

  test('[P4] is no journal until it is whole, by its name', async () => {
    const names: string[] = [];
    const listing = async function* (): AsyncGenerator<JournalChunk> {
      yield* chunks();
      names.push(...(await readdir(path)));
    };
    await importJournal({
      folder,
      identity,
      chain,
      chunks: listing(),
      endReason: 'publisher-lost',
      nowUs: 0,
    });
    expect(names.length).toBe(1);
    expect(isUnfinishedImport(names[0] ?? '')).toBe(true);
  });
});
