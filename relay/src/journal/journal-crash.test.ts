import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createId } from '@proofcast/shared';
import { freshSeed, seededRandom, type Random } from '@proofcast/shared/testing/random';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { journalFolder } from './journal-files.ts';
import { segmentName } from './journal-start.ts';
import { Journal } from './journal.ts';
import type { JournalRecord } from './record.ts';

const ROUNDS = 60;
const PAGE_BYTES = 4096;

describe('a journal after a power cut', () => {
  let path: string;

  beforeEach(async () => {
    path = await mkdtemp(join(tmpdir(), 'proofcast-crash-'));
  });
  afterEach(() => rm(path, { recursive: true, force: true }));

  test('[J8] holds every chunk that was durable, and of the others only a whole run, whatever reached the disk', async () => {
    const seed = freshSeed();
    const random = seededRandom(seed);
    for (let round = 0; round < ROUNDS; round++) {
      const { file, recordingId, payloads, durableCount, durableBytes } = await writeRandomly(random);
      await writeFile(file, loseUnsynced(await readFile(file), { durableBytes, random }));

      const records: JournalRecord[] = [];
      const journal = await recover(recordingId, (record) => records.push(record));
      const what = `seed ${seed}, round ${round}`;
      expect(records.length, what).toBeGreaterThanOrEqual(durableCount);
      for (const [index, { sequence, payload }] of records.entries()) {
        expect(sequence, what).toBe(index);
        expect(Buffer.compare(payload, payloads[index] ?? Buffer.of()), what).toBe(0);
      }
      await journal?.close();
    }
  });

  test('[J9] is refused rather than shortened when something that a later record confirms is changed', async () => {
    const seed = freshSeed();
    const random = seededRandom(seed);
    for (let round = 0; round < ROUNDS; round++) {
      const { file, recordingId, payloads, confirmedBytes } = await writeRandomly(random);
      const bytes = await readFile(file);
      const at = random.integer(0, confirmedBytes);
      bytes[at] = (bytes[at] ?? 0) ^ (1 << random.integer(0, 8));
      await writeFile(file, bytes);

      const records: JournalRecord[] = [];
      const attempt = recover(recordingId, (record) => records.push(record));
      await expect(attempt, `seed ${seed}, round ${round}`).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
      expect(records.length).toBeLessThan(payloads.length);
      expect(Buffer.compare(await readFile(file), bytes)).toBe(0);
    }
  });

  /** A journal of several commits. What is durable is known; so is what the last commit says about those before. */
  async function writeRandomly(random: Random) {
    const recordingId = createId('recording');
    const identity = {
      recordingId,
      companyId: createId('company'),
      streamId: createId('stream'),
      deviceId: createId('device'),
      startedAtUs: 1,
    };
    const file = join(path, segmentName(recordingId, 0));
    const journal = await Journal.create({
      folder: journalFolder(path),
      identity,
      chain: new Uint8Array(32),
      nowUs: 1,
      markDirty: () => undefined,
    });
    const payloads: Uint8Array[] = [];
    const sizes = [(await readFile(file)).length];
    const counts = [0];
    const commits = random.integer(2, 6);
    for (let commit = 0; commit < commits; commit++) {
      const appended = random.integer(1, 5);
      for (let i = 0; i < appended; i++) {
        const payload = random.bytes(random.integer(1, random.fraction() < 0.2 ? 30_000 : 3_000));
        journal.append(chunkOf(payloads.length, payload));
        payloads.push(payload);
      }
      await journal.flush();
      sizes.push((await readFile(file)).length);
      counts.push(payloads.length);
    }
    await journal.close();
    // The last commit is the one that the power cut came before the end of.
    return {
      file,
      recordingId,
      payloads,
      durableCount: counts.at(-2) ?? 0,
      durableBytes: sizes.at(-2) ?? 0,
      confirmedBytes: sizes.at(-2) ?? 0,
    };
  }

  function recover(recordingId: string, onRecord: (record: JournalRecord) => void): Promise<Journal | null> {
    return Journal.recover({
      folder: journalFolder(path),
      recordingId,
      segmentNumbers: [0],
      markDirty: () => undefined,
      onRecord,
      onCut: () => undefined,
    });
  }
});

function chunkOf(sequence: number, payload: Uint8Array) {
  const [chain, signature] = [new Uint8Array(32), new Uint8Array(64)];
  return {
    kind: 'media' as const,
    epoch: 0,
    sequence,
    captureTimeUs: 1,
    receivedAtUs: 1,
    chain,
    signature,
    payload,
  };
}

/** Of the pages that were not synced, any may be missing, and the file may be shorter. */
function loseUnsynced(
  bytes: Buffer,
  { durableBytes, random }: { durableBytes: number; random: Random },
): Buffer {
  const left = Buffer.from(bytes.subarray(0, random.integer(durableBytes, bytes.length + 1)));
  for (let page = Math.floor(durableBytes / PAGE_BYTES); page * PAGE_BYTES < left.length; page++) {
    if (random.fraction() < 0.6) continue;
    left.fill(0, Math.max(durableBytes, page * PAGE_BYTES), Math.min(left.length, (page + 1) * PAGE_BYTES));
  }
  return left;
}
