import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { CodedError, createId } from '@proofcast/shared';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FailingFolder } from '../../testing/failing-folder.ts';
import { journalFolder } from './journal-files.ts';
import { JournalReader } from './journal-reader.ts';
import { segmentName, type RecordingIdentity } from './journal-start.ts';
import type { StoredPayload } from './journal-tail.ts';
import { Journal, type JournalChunk, type JournalEvents } from './journal.ts';
import { RECORD_HEADER_BYTES, type JournalRecord } from './record.ts';

const FIRST_CHAIN = new Uint8Array(32).fill(1);

describe('a journal', () => {
  let path: string;
  let folder: FailingFolder;
  let identity: RecordingIdentity;
  const opened: Journal[] = [];

  beforeEach(async () => {
    path = await mkdtemp(join(tmpdir(), 'proofcast-journal-'));
    folder = new FailingFolder(journalFolder(path));
    identity = {
      recordingId: createId('recording'),
      companyId: createId('company'),
      streamId: createId('stream'),
      deviceId: createId('device'),
      startedAtUs: 1_790_000_000_000_000,
    };
  });

  afterEach(async () => {
    folder.failures.length = 0;
    await Promise.all(opened.splice(0).map((journal) => journal.close()));
    await rm(path, { recursive: true, force: true });
  });

  async function create(events: Partial<JournalEvents> = {}): Promise<Journal> {
    const journal = await Journal.create({
      folder,
      identity,
      chain: FIRST_CHAIN,
      nowUs: 1,
      markDirty: () => undefined,
    });
    journal.events = { onDurable() {}, onContinued() {}, onFailed() {}, ...events };
    opened.push(journal);
    return journal;
  }

  async function recover(): Promise<{
    journal: Journal;
    records: JournalRecord[];
    payloads: StoredPayload[];
    cuts: { validBytes: number; cutBytes: number }[];
  }> {
    const records: JournalRecord[] = [];
    const payloads: StoredPayload[] = [];
    const cuts: { validBytes: number; cutBytes: number }[] = [];
    const journal = await Journal.recover({
      folder,
      recordingId: identity.recordingId,
      segmentNumbers: await segmentNumbers(),
      markDirty: () => undefined,
      onRecord(record, stored) {
        records.push(record);
        payloads.push(stored);
      },
      onCut: (cut) => cuts.push(cut),
    });
    if (journal === null) throw new Error('Nothing was recovered.');
    opened.push(journal);
    return { journal, records, payloads, cuts };
  }

  async function segmentNumbers(): Promise<number[]> {
    const names = await readdir(path);
    return [0, 1, 2, 3].filter((number) => names.includes(segmentName(identity.recordingId, number)));
  }

  const file = (segment = 0): string => join(path, segmentName(identity.recordingId, segment));

  /** The state of the disk after the process died: the journal in memory is forgotten. */
  async function crash(journal: Journal): Promise<void> {
    opened.splice(opened.indexOf(journal), 1);
    await journal.close();
  }

  test('[J1] gives back what was appended, byte for byte and in order, after it was opened again', async () => {
    const journal = await create();
    const chunks = [chunk(0, 100), chunk(1, 1024 * 1024), chunk(2, 1), chunk(3, 300_000)];
    for (const one of chunks) journal.append(one);
    await journal.flush();
    await crash(journal);

    const { records, journal: again, payloads } = await recover();
    expect(records.map(withoutPosition)).toEqual(chunks.map((one) => ({ ...one, kind: 'media' })));
    expect(again.identity).toEqual(identity);
    expect([again.chunkCount, again.durableCount]).toEqual([4, 4]);
    for (const [index, payload] of payloads.entries()) {
      expect(Buffer.compare(await again.readPayload(payload), chunks[index]?.payload ?? Buffer.of())).toBe(0);
    }
  });

  test('[J1] refuses a chunk that is not the next one', async () => {
    const journal = await create();
    journal.append(chunk(0));
    expect(() => journal.append(chunk(2))).toThrow('Cannot append chunk 2: expected 1.');
    expect(() => journal.append(chunk(0))).toThrow('Cannot append chunk 0: expected 1.');
  });

  test('[J3] counts a chunk as durable after the sync, not after the write', async () => {
    const durable: number[] = [];
    const journal = await create({ onDurable: (count) => durable.push(count) });
    let release = (): void => undefined;
    folder.hold = new Promise((resolve) => (release = resolve));
    const sizeBefore = (await readFile(file())).length;
    const stored = journal.append(chunk(0, 50));
    const flushed = journal.flush();
    while ((await readFile(file())).length < sizeBefore + RECORD_HEADER_BYTES + 50) await setImmediate();
    expect([journal.durableCount, durable, stored.place.kind]).toEqual([0, [], 'memory']);

    release();
    await flushed;
    expect([journal.durableCount, durable, stored.place.kind]).toEqual([1, [1], 'file']);
    expect(journal.undurableBytes).toBe(0);
  });

  test('[J8] has its torn last record cut, wherever it was torn, and goes on from there', async () => {
    const journal = await create();
    journal.append(chunk(0, 40));
    journal.append(chunk(1, 40));
    await journal.flush();
    // Not synced, as far as any record says: what a power cut may tear.
    const wholeBytes = (await readFile(file())).length;
    journal.append(chunk(2, 30));
    await journal.flush();
    await crash(journal);
    const bytes = await readFile(file());

    for (let length = wholeBytes; length < bytes.length; length++) {
      await writeFile(file(), bytes.subarray(0, length));
      const { journal: again, records, cuts } = await recover();
      const cutBytes = length - wholeBytes;
      expect(records.map((one) => one.sequence)).toEqual([0, 1]);
      expect(cuts.map((cut) => cut.cutBytes)).toEqual(cutBytes === 0 ? [] : [cutBytes]);
      again.append(chunk(2, 30));
      await again.flush();
      await crash(again);
      const { records: continued, journal: last } = await recover();
      expect(continued.map((one) => one.sequence)).toEqual([0, 1, 2]);
      await crash(last);
    }
  });

  test('[J8] has a tail cut that holds whole records behind a torn one, when nothing of it was synced', async () => {
    const journal = await create();
    const [start, middle] = [await sizeAfter(journal, chunk(0, 60)), await sizeBeforeSync(journal)];
    await crash(journal);
    // A page in the middle never reached the disk.
    await overwrite(middle.firstRecord + 20, Buffer.alloc(60));
    const { records, cuts, journal: again } = await recover();
    expect(records.map((one) => one.sequence)).toEqual([0]);
    expect(cuts).toMatchObject([{ validBytes: start, cutBytes: middle.end - start }]);
    expect(again.durableCount).toBe(1);

    // What was cut must not come back behind what takes its place.
    again.append(chunk(1, 60));
    await again.flush();
    await crash(again);
    expect((await recover()).records.map((one) => one.sequence)).toEqual([0, 1]);
  });

  test('[J9] in which a synced record was changed is refused and left as it is', async () => {
    const journal = await create();
    const first = await sizeAfter(journal, chunk(0, 60));
    await sizeAfter(journal, chunk(1, 60));
    await sizeAfter(journal, chunk(2, 60));
    await crash(journal);
    await overwrite(first + RECORD_HEADER_BYTES + 5, Buffer.of(0xff));
    const before = await readFile(file());

    await expect(recover()).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
    await expect(recover()).rejects.toThrow(
      `${segmentName(identity.recordingId, 0)} is unreadable at byte ${first}`,
    );
    expect(Buffer.compare(await readFile(file()), before)).toBe(0);
  });

  test('[J9] whose start was destroyed is refused and left as it is', async () => {
    const journal = await create();
    await sizeAfter(journal, chunk(0, 60));
    await sizeAfter(journal, chunk(1, 60));
    await crash(journal);
    await overwrite(30, Buffer.of(0xff));
    await expect(recover()).rejects.toThrow('The start of');
    expect(await segmentNumbers()).toEqual([0]);
  });

  test('[J8] that was being created when the relay died is nothing', async () => {
    const journal = await create();
    await crash(journal);
    const bytes = await readFile(file());
    for (const length of [0, 1, 20, RECORD_HEADER_BYTES, bytes.length - 1]) {
      await writeFile(file(), bytes.subarray(0, length));
      await expect(recover()).rejects.toThrow('Nothing was recovered.');
    }
  });

  test('[J10] has what was not known to be durable written and synced again before it counts', async () => {
    const journal = await create();
    await sizeAfter(journal, chunk(0, 60));
    for (const sequence of [1, 2, 3]) journal.append(chunk(sequence, 60));
    await journal.flush();
    await crash(journal);

    // No later record confirms the last commit.
    const [syncsBefore, bytesBefore] = [folder.datasyncs, folder.writtenBytes];
    const { journal: again } = await recover();
    expect(again.durableCount).toBe(4);
    expect(folder.datasyncs).toBe(syncsBefore + 1);
    expect(folder.writtenBytes).toBe(bytesBefore + 3 * (RECORD_HEADER_BYTES + 60));
    await crash(again);

    folder.failures.push({ operation: 'write', code: 'EIO' }, { operation: 'create', code: 'EIO' });
    await expect(recover()).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
  });

  test.each(['write', 'datasync'] as const)(
    '[J5] goes on in a new file after EIO of %s, and loses nothing',
    async (operation) => {
      const continued: [number, unknown][] = [];
      const durable: number[] = [];
      const journal = await create({
        onContinued: (segment, cause) => continued.push([segment, cause]),
        onDurable: (count) => durable.push(count),
      });
      await sizeAfter(journal, chunk(0, 60));
      const firstFileBytes = (await readFile(file())).length;
      folder.failures.push({ operation, code: 'EIO', times: 1, tornAfterBytes: 100 });
      const stored = [journal.append(chunk(1, 70)), journal.append(chunk(2, 80))];
      await journal.flush();
      expect(durable).toEqual([1, 3]);
      expect(continued).toMatchObject([[1, { code: 'EIO' }]]);
      await sizeAfter(journal, chunk(3, 90));
      // The ended file gets nothing more.
      expect((await readFile(file())).length).toBeLessThanOrEqual(
        firstFileBytes + 2 * RECORD_HEADER_BYTES + 150,
      );
      for (const [index, one] of stored.entries()) {
        expect(await journal.readPayload(one)).toEqual(
          Buffer.from(chunk(index + 1, 70 + 10 * index).payload),
        );
      }
      await crash(journal);

      const { records, journal: again } = await recover();
      expect(records.map((one) => one.sequence)).toEqual([0, 1, 2, 3]);
      expect(await segmentNumbers()).toEqual([0, 1]);
      const reader = await JournalReader.open(folder, identity.recordingId, [0, 1]);
      expect(reader?.segments.map(({ firstSequence }) => firstSequence)).toEqual([0, 1]);
      expect(JSON.stringify(reader?.start)).toContain(identity.recordingId);
      await reader?.close();
      await sizeAfter(again, chunk(4, 10));
      await crash(again);
      expect((await recover()).records.map((one) => one.sequence)).toEqual([0, 1, 2, 3, 4]);
    },
  );

  test('[J5] a later file takes over from its number on, whatever the file before it holds there', async () => {
    const journal = await create();
    await sizeAfter(journal, chunk(0, 60));
    // Written whole, but the sync failed: the same chunk stands in both files.
    folder.failures.push({ operation: 'datasync', code: 'EIO', times: 1 });
    await sizeAfter(journal, chunk(1, 60));
    await sizeAfter(journal, chunk(2, 60));
    await crash(journal);
    const { records, payloads } = await recover();
    expect(records.map((one) => one.sequence)).toEqual([0, 1, 2]);
    expect(payloads.map(({ place }) => place.kind === 'file' && place.segment)).toEqual([0, 1, 1]);
  });

  test('[J6] whose new file fails too says so, acknowledges nothing, and is whole when it is opened again', async () => {
    const failed: CodedError[] = [];
    const durable: number[] = [];
    const journal = await create({
      onFailed: (error) => failed.push(error),
      onDurable: (count) => durable.push(count),
    });
    await sizeAfter(journal, chunk(0, 60));
    folder.failures.push({ operation: 'write', code: 'ENOSPC', tornAfterBytes: 30 });
    journal.append(chunk(1, 60));
    await expect(journal.flush()).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
    expect(failed).toMatchObject([{ code: 'STORAGE_FAILED' }]);
    expect(durable).toEqual([1]);
    expect(journal.isOpen).toBe(false);
    expect(() => journal.append(chunk(2))).toThrow(CodedError);
    await expect(journal.end({ reason: 'stopped', nowUs: 2, captureTimeUs: 0 })).rejects.toMatchObject({
      code: 'STORAGE_FAILED',
    });
    await crash(journal);

    folder.failures.length = 0;
    const { journal: again, records } = await recover();
    expect(records.map((one) => one.sequence)).toEqual([0]);
    await sizeAfter(again, chunk(1, 60));
    expect(again.durableCount).toBe(2);
  });

  test('[J6] a new file that could not be finished does not stand in the way later', async () => {
    const journal = await create();
    await sizeAfter(journal, chunk(0, 60));
    const next = segmentName(identity.recordingId, 1);
    folder.failures.push(
      { operation: 'write', code: 'EIO' },
      { operation: 'remove', code: 'EIO', name: next },
    );
    journal.append(chunk(1, 60));
    await expect(journal.flush()).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
    await crash(journal);
    expect(await segmentNumbers()).toEqual([0, 1]);

    folder.failures.length = 0;
    const { journal: again } = await recover();
    expect(await segmentNumbers()).toEqual([0]);
    folder.failures.push({ operation: 'write', code: 'EIO', times: 1 });
    await sizeAfter(again, chunk(1, 60));
    await crash(again);
    expect((await recover()).records.map((one) => one.sequence)).toEqual([0, 1]);
    expect(await segmentNumbers()).toEqual([0, 1]);
  });

  test('[J12] ends with a record that says why, and takes nothing after it was closed', async () => {
    const journal = await create();
    journal.append(chunk(0, 60));
    await journal.end({ reason: 'stopped', nowUs: 5, captureTimeUs: 4 });
    await journal.close();
    await journal.close();
    expect(() => journal.append(chunk(1))).toThrow(CodedError);
    const { records } = await recover();
    expect(records.map((one) => [one.kind, one.sequence])).toEqual([
      ['media', 0],
      ['end', 1],
    ]);
  });

  test('a payload that cannot be read is an error with a code', async () => {
    const journal = await create();
    const stored = journal.append(chunk(0, 60));
    await journal.flush();
    folder.failures.push({ operation: 'read', code: 'EIO', times: 1 });
    await expect(journal.readPayload(stored)).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
    expect((await journal.readPayload(stored)).length).toBe(60);
    await truncate(file(), 200);
    await expect(journal.readPayload(stored)).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
  });

  /** Commits one chunk and returns the size of the last file after it. */
  async function sizeAfter(journal: Journal, one: JournalChunk): Promise<number> {
    journal.append(one);
    await journal.flush();
    return (await readFile(file((await segmentNumbers()).at(-1)))).length;
  }

  /** Three more chunks in one commit, of which no later record tells. */
  async function sizeBeforeSync(journal: Journal): Promise<{ firstRecord: number; end: number }> {
    const firstRecord = (await readFile(file())).length;
    for (const sequence of [1, 2, 3]) journal.append(chunk(sequence, 60));
    await journal.flush();
    return { firstRecord, end: (await readFile(file())).length };
  }

  async function overwrite(position: number, bytes: Buffer): Promise<void> {
    const content = await readFile(file());
    bytes.copy(content, position);
    await writeFile(file(), content);
  }
});

function chunk(sequence: number, byteLength = 10): JournalChunk {
  return {
    kind: 'media',
    epoch: 0,
    sequence,
    captureTimeUs: 1000 + sequence,
    receivedAtUs: 2000 + sequence,
    chain: new Uint8Array(32).fill(sequence + 2),
    signature: new Uint8Array(64).fill(sequence + 3),
    payload: new Uint8Array(byteLength).fill(sequence + 4),
  };
}

/** A record without what depends on where and when it was written. */
function withoutPosition({ durableBytes: _, chain, signature, payload, ...rest }: JournalRecord): unknown {
  return {
    ...rest,
    chain: new Uint8Array(chain),
    signature: new Uint8Array(signature),
    payload: new Uint8Array(payload),
  };
}
