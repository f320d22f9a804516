import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createId } from '@proofcast/shared';
import { freshSeed, seededRandom } from '@proofcast/shared/testing/random';
import { loadWebmClip } from '@proofcast/shared/testing/webm-clip';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FailingFolder } from '../../testing/failing-folder.ts';
import { JournaledRecording } from '../../testing/journaled-recording.ts';
import { sealFiles, type SealedPaths } from '../../testing/sealed-files.ts';
import { journalFolder } from '../journal/journal-files.ts';
import { JournalStore } from '../journal/store.ts';
import type { JournalRecord } from '../journal/record.ts';
import { systemMediaClock } from '../media-clock.ts';
import { unseal } from './unseal.ts';
import { verifyFile } from './verify-file.ts';

const { signal } = new AbortController();
const UNSEAL_PROCESS = resolve(import.meta.dirname, '../../testing/unseal-process.ts');

describe('unsealing', () => {
  let recording: JournaledRecording;
  let paths: SealedPaths;
  let journals: string;
  let folder: FailingFolder;
  let store: JournalStore;

  beforeEach(async () => {
    recording = await JournaledRecording.create();
    journals = join(recording.path, 'unsealed');
    await mkdir(journals);
    folder = new FailingFolder(journalFolder(journals));
    store = new JournalStore({
      folder,
      clock: systemMediaClock,
      commitIntervalMs: 1,
      log: pino({ level: 'silent' }),
    });
  });
  afterEach(async () => {
    store.close();
    await recording.close();
  });

  async function record(epochs = 2, distanceUs = 60_000_000): Promise<void> {
    for (let epoch = 0; epoch < epochs; epoch++) {
      recording.maker.epoch({ startedAtUs: recording.maker.start.startedAtUs + epoch * distanceUs });
      for (const slice of loadWebmClip('vp8-opus').slices) recording.maker.media(slice);
    }
    for (const chunk of recording.maker.chunks) {
      recording.add({ ...chunk, signature: chunk.signature.slice().fill(chunk.sequence % 3) });
    }
    paths = await sealFiles(recording);
  }

  const unsealHere = () =>
    unseal({ identity: recording.journal.identity, manifestPath: paths.manifest, store, signal });

  /** What stands in a journal, without what each journal has of its own. */
  async function recordsOf(from: JournalStore): Promise<unknown[]> {
    const reader = await from.read(recording.journal.identity.recordingId);
    if (reader === null) throw new Error('There is no journal.');
    const records: unknown[] = [];
    for await (const { record: read } of reader.records()) records.push(comparable(read));
    await reader.close();
    return records;
  }

  function comparable({ durableBytes: _durableBytes, ...rest }: JournalRecord): unknown {
    const { payload, signature, chain } = rest;
    const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
    return { ...rest, payload: hex(payload), signature: hex(signature), chain: hex(chain) };
  }

  function original(): JournalStore {
    const log = pino({ level: 'silent' });
    const originals = journalFolder(recording.path);
    return new JournalStore({ folder: originals, clock: systemMediaClock, commitIntervalMs: 1, log });
  }

  it('[M6] makes a journal with the same chunks: bytes, times, chain, signatures', async () => {
    await record();
    const { chunkCount } = await unsealHere();
    expect(chunkCount).toBe(recording.maker.chunks.length);
    const records = await recordsOf(store);
    expect(records.slice(0, chunkCount)).toEqual(await recordsOf(original()));
    expect(records.slice(chunkCount)).toMatchObject([{ kind: 'end', sequence: chunkCount }]);
  });

  it('[M1] [M6] does so also of a file that was laid out before, with years between two epochs', async () => {
    const yearsMs = 10 * 365 * 86_400_000;
    await record(2, yearsMs * 1000);
    const [first, second] = recording.plans();
    const [before, after] = [first?.epochs[0], second?.epochs[0]];
    if (!first || !before || !after) throw new Error('Two epochs make two parts now.');
    const epochs = [before, { ...after, shiftTicks: yearsMs, shiftMs: yearsMs }];
    const durationTicks = yearsMs + after.lastBlockTicks + 1;
    paths = await sealFiles(recording, {}, [{ ...first, durationTicks, durationMs: durationTicks, epochs }]);
    expect(paths.media).toHaveLength(1);
    expect((await verifyFile({ manifestPath: paths.manifest, signal })).kind).toBe('intact');
    const { chunkCount } = await unsealHere();
    expect((await recordsOf(store)).slice(0, chunkCount)).toEqual(await recordsOf(original()));
  });

  it('[M6] goes on from it as from any journal', async () => {
    await record();
    const { chunkCount } = await unsealHere();
    const { recordingId } = recording.journal.identity;
    const recovered = await store.recover({ recordingId, leastChunkCount: 0 }, () => undefined);
    const next = { ...recording.maker.draft(), kind: 'media' as const, receivedAtUs: 1 };
    recovered?.append(next);
    await recovered?.flush();
    await recovered?.close();
    expect(await recordsOf(store)).toHaveLength(chunkCount + 2);
  });

  it('[M6] makes none of files in which a chunk is not what was received', async () => {
    await record();
    const [media = ''] = paths.media;
    const whole = await readFile(media);
    const at = whole.length - 300;
    await writeFile(media, whole.with(at, (whole[at] ?? 0) ^ 1));
    await expect(unsealHere()).rejects.toMatchObject({ code: 'RECORDING_DAMAGED' });
    await rm(media);
    await expect(unsealHere()).rejects.toMatchObject({ code: 'RECORDING_DAMAGED' });
    expect(await readdir(journals)).toEqual([]);
  });

  it('[M6] does not mind what the relay had put around the chunks', async () => {
    await record();
    const [media = ''] = paths.media;
    const whole = await readFile(media);
    await writeFile(media, whole.with(60, (whole[60] ?? 0) ^ 1));
    await unsealHere();
    expect(await recordsOf(store)).toHaveLength(recording.maker.chunks.length + 1);
  });

  it('[M6] refuses the manifest of another recording, device, company or stream', async () => {
    await record(1);
    const { identity } = recording.journal;
    const others = [
      { recordingId: createId('recording') },
      { companyId: createId('company') },
      { streamId: createId('stream') },
      { deviceId: createId('device') },
      { startedAtUs: identity.startedAtUs + 1 },
    ];
    for (const other of others) {
      const wrong = { ...identity, ...other };
      await expect(
        unseal({ identity: wrong, manifestPath: paths.manifest, store, signal }),
      ).rejects.toMatchObject({ code: 'MANIFEST_INVALID' });
    }
    expect(await readdir(journals)).toEqual([]);
  });

  it('[M6] leaves no journal when the disk refuses or it is told to stop, and can be tried again', async () => {
    await record();
    for (const operation of ['create', 'write', 'datasync', 'rename'] as const) {
      folder.failures.push({ operation, code: 'EIO', times: 1 });
      await expect(unsealHere()).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
      expect(await store.recordingIds()).toEqual([]);
    }
    const reason = new Error('told to stop');
    const stopped = unseal({
      identity: recording.journal.identity,
      manifestPath: paths.manifest,
      store,
      signal: AbortSignal.abort(reason),
    });
    await expect(stopped).rejects.toBe(reason);
    expect(await store.recordingIds()).toEqual([]);
    await unsealHere();
    expect(await recordsOf(store)).toHaveLength(recording.maker.chunks.length + 1);
  });

  it('[M6] never takes the place of a journal that is there', async () => {
    await record(1);
    await unsealHere();
    const { recordingId } = recording.journal.identity;
    const [name = ''] = await readdir(journals);
    const before = await readFile(join(journals, name));
    await expect(unsealHere()).rejects.toThrow(recordingId);
    expect(await readFile(join(journals, name))).toEqual(before);
  });

  it('[M6] killed at any moment, leaves a whole journal or none', async () => {
    await record(60);
    const seed = freshSeed();
    const random = seededRandom(seed);
    const { identity } = recording.journal;
    const clear = async (): Promise<void> => {
      await store.removeUnfinishedImports();
      await store.remove(identity.recordingId);
    };
    const run = async (killAfterMs: number | null): Promise<{ isDone: boolean; tookMs: number }> => {
      const args = [UNSEAL_PROCESS, journals, paths.manifest, JSON.stringify(identity)];
      const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
      const exited = once(child, 'exit');
      let output = '';
      child.stdout.on('data', (part: Buffer) => (output += part.toString()));
      await once(child.stdout, 'data');
      const begunMs = performance.now();
      if (killAfterMs !== null) {
        await delay(killAfterMs);
        child.kill('SIGKILL');
      }
      await exited;
      return { isDone: output.includes('done'), tookMs: performance.now() - begunMs };
    };
    const whole = await run(null);
    expect(whole.isDone).toBe(true);
    await clear();
    let cutOff = 0;
    for (let round = 0; cutOff < 6 && round < 40; round++) {
      const killAfterMs = random.fraction() * whole.tookMs;
      const { isDone } = await run(killAfterMs);
      if (!isDone) cutOff += 1;
      const isThere = await store.has(identity.recordingId);
      const what = `seed ${seed}, round ${round}, after ${killAfterMs} ms`;
      if (isThere) expect(await recordsOf(store), what).toHaveLength(recording.maker.chunks.length + 1);
      else expect(isDone, what).toBe(false);
      await clear();
      expect(await readdir(journals), what).toEqual([]);
    }
    // Otherwise nothing was proven.
    expect(cutOff, `seed ${seed}`).toBe(6);
    await unsealHere();
    expect(await recordsOf(store)).toHaveLength(recording.maker.chunks.length + 1);
  }, 60_000);
});
