import { hash } from 'node:crypto';
import { chmod, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeStartRecord } from '@proofcast/shared';
import { loadWebmClip } from '@proofcast/shared/testing/webm-clip';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { HeldTimers } from '../../testing/held-timers.ts';
import { MediaWorld } from '../../testing/media-world.ts';
import { Ffprobe } from '../derivatives/ffprobe.ts';
import { DiskSpace } from '../journal/disk-space.ts';
import { journalFolder } from '../journal/journal-files.ts';
import { JournalStore } from '../journal/store.ts';
import { DEFAULT_MEDIA_LIMITS } from '../media-limits.ts';
import { MediaCounts } from '../metrics/media-counts.ts';
import { RecordingCatalogue } from './catalogue.ts';
import { OpenRecording } from './open-recording.ts';
import { OpenRecordings } from './open-recordings.ts';
import { RecordingIndex } from './recording-index.ts';
import { SealingQueue } from './sealing.ts';

const RETRY_MS = 9_876;
const CLIP = loadWebmClip('vp8');
const log = pino({ level: 'silent' });

let world: MediaWorld;
let programs: string;

beforeEach(async () => {
  programs = await mkdtemp(join(tmpdir(), 'proofcast-programs-'));
  // For its database and its folders; the queue is the test's own.
  world = await MediaWorld.open();
  await world.shutDown();
});
afterEach(async () => {
  await world.close();
  await rm(programs, { recursive: true, force: true });
});

test('[J16] a journal to which a chunk came while it was sealed does not go', async () => {
  const ffprobe = join(programs, 'ffprobe');
  // It ends also when the test fails.
  const wait = `touch '${programs}/begun'; while [ -d '${programs}' ] && [ ! -e '${programs}/go' ]; do sleep 0.05; done`;
  await writeFile(ffprobe, `#!/bin/sh\n${wait}\nexec ffprobe "$@"\n`);
  await chmod(ffprobe, 0o700);

  const limits = { ...DEFAULT_MEDIA_LIMITS, minFreeBytes: 0, warnFreeBytes: 0, sealRetryMs: RETRY_MS };
  const clock = new HeldTimers(RETRY_MS);
  const journalsDir = join(world.dataDir, 'journals');
  const store = new JournalStore({ folder: journalFolder(journalsDir), clock, commitIntervalMs: 1, log });
  const disk = await DiskSpace.open({ path: journalsDir, limits, clock, log });
  const catalogue = new RecordingCatalogue(world.database);
  const reopen = (): Promise<never> => Promise.reject(new Error('It is open.'));
  const recordings = new OpenRecordings({ maxOpen: 1, maxOpening: 1, reopen, log });
  const sealing = new SealingQueue({
    store,
    disk,
    catalogue,
    recordings,
    recordingsDir: join(world.dataDir, 'recordings'),
    ffprobe: new Ffprobe({ ffmpegPath: join(programs, 'ffmpeg'), limits }),
    clock,
    limits,
    counts: new MediaCounts(),
    log,
    onSealed: () => undefined,
  });

  const device = await world.device();
  const maker = world.maker(device);
  const identity = { ...maker.start, companyId: device.companyId };
  const chain = hash('sha256', encodeStartRecord(identity), 'buffer');
  await catalogue.insert(identity, Date.now());
  const journal = await store.create(identity, chain);
  const index = new RecordingIndex({ chain, maxChunks: 1_000 });
  const recording = new OpenRecording({ journal, index, ending: null });
  maker.epoch();
  for (const slice of CLIP.slices.slice(0, -1)) maker.media(slice);
  for (const chunk of maker.chunks) recording.append(chunk, Date.now() * 1000);
  const end = () => recording.end({ reason: 'stopped', atMs: Date.now(), publisherAtMs: null });
  await end();
  sealing.take(recording);
  await expect.poll(() => readdir(programs), { timeout: 20_000 }).toContain('begun');

  const [late] = maker.media(CLIP.slices.at(-1) ?? Buffer.of());
  if (late === undefined) throw new Error('There is one more.');
  recording.append(late, Date.now() * 1000);
  await journal.flush();
  await writeFile(join(programs, 'go'), '');
  await sealing.whenIdle();
  expect(await catalogue.find(identity.recordingId)).toMatchObject({
    state: 'sealing',
    manifest_path: null,
    failure_code: 'RECORDING_NOT_READY',
  });
  expect(await readdir(journalsDir)).toHaveLength(1);

  await end();
  expect(clock.size).toBe(1);
  clock.pass();
  await sealing.whenIdle();
  expect(await catalogue.find(identity.recordingId)).toMatchObject({
    state: 'sealed',
    chunk_count: maker.chunks.length,
  });
  expect(await readdir(journalsDir)).toEqual([]);
  await sealing.close(0);
  disk.close();
  store.close();
});
