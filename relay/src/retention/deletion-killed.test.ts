import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setImmediate, setTimeout as wait } from 'node:timers/promises';
import type { Id } from '@proofcast/shared';
import { freshSeed, seededRandom } from '@proofcast/shared/testing/random';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { publishRecording } from '../../testing/publish-recording.ts';
import { RelayProcesses } from '../../testing/relay-process.ts';
import { TestClient } from '../../testing/test-client.ts';
import { TestDevice } from '../../testing/test-device.ts';

/** Each of them starts the relay as a process of its own. */
const ROUNDS = 4;
/** When none of these was cut off in the middle, there are more. */
const MAX_ROUNDS = 16;
const DELETED_AT_ONCE = 3;
/** Behind the first tombstone. */
const MAX_DELAY_MS = 4;
const CREDENTIALS = { email: 'admin@proofcast.local', password: 'a password for tests' };

vi.setConfig({ testTimeout: 180_000 });

let dataDir: string;
const processes = new RelayProcesses();

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'proofcast-deletion-'));
});
afterEach(async () => {
  processes.killAll();
  await rm(dataDir, { recursive: true, force: true });
});

async function start() {
  const relay = processes.start(dataDir, {
    ADMIN_PASSWORD: CREDENTIALS.password,
    MIN_FREE_BYTES: '0',
    WARN_FREE_BYTES: '0',
  });
  const admin = new TestClient(await relay.url);
  await admin.call('signIn', { body: CREDENTIALS });
  return { relay, admin };
}

async function filesOf(recordingId: Id): Promise<string[]> {
  const found: string[] = [];
  for (const folder of ['recordings', 'journals']) {
    const names = await readdir(join(dataDir, folder), { recursive: true });
    found.push(...names.filter((name) => name.includes(recordingId)));
  }
  return found;
}

/** Resolves as soon as a tombstone of one of these is on the disk. */
async function firstTombstone(recordingIds: readonly Id[]): Promise<void> {
  const database = new DatabaseSync(join(dataDir, 'proofcast.sqlite'), { readOnly: true });
  const places = recordingIds.map(() => '?').join();
  const query = database.prepare(`select 1 from tombstones where recording_id in (${places})`);
  while (query.get(...recordingIds) === undefined) await setImmediate();
  database.close();
}

it('[K6] [K7] kill −9 at any moment of a deletion leaves the whole recording, or a tombstone and nothing else', async () => {
  const seed = freshSeed();
  const random = seededRandom(seed);
  let cutOff = 0;
  let { relay, admin } = await start();
  const device = await TestDevice.enrol(admin);
  const stateIn = async (recordingId: Id) =>
    (await admin.call('recording', { params: { recordingId } })).state;
  for (let round = 0; round < ROUNDS || (cutOff === 0 && round < MAX_ROUNDS); round++) {
    const recordings: { recordingId: Id; sizeBytes: number | null }[] = [];
    for (let n = 0; n < DELETED_AT_ONCE; n++) {
      const recordingId = await publishRecording({ device, client: admin });
      await expect.poll(() => stateIn(recordingId), { timeout: 30_000 }).toBe('sealed');
      const { sizeBytes } = await admin.call('recording', { params: { recordingId } });
      recordings.push({ recordingId, sizeBytes });
    }

    const requests = recordings.map(({ recordingId }) =>
      admin.call('deleteRecording', { params: { recordingId } }).catch(() => undefined),
    );
    await firstTombstone(recordings.map(({ recordingId }) => recordingId));
    const delayMs = random.fraction() * MAX_DELAY_MS;
    await wait(delayMs);
    relay.child.kill('SIGKILL');
    await Promise.all([relay.exit, ...requests]);
    const left = await Promise.all(recordings.map(({ recordingId }) => filesOf(recordingId)));
    cutOff += left.filter((files) => files.length > 0).length;

    ({ relay, admin } = await start());
    const what = `seed ${seed}, round ${round}, after ${delayMs} ms`;
    for (const { recordingId, sizeBytes } of recordings) {
      const params = { recordingId };
      const tombstoneOf = async () =>
        (await admin.call('tombstones')).tombstones.find((one) => one.recordingId === recordingId);
      if ((await tombstoneOf()) === undefined) {
        expect(await stateIn(recordingId), what).toBe('sealed');
        const media = await admin.fetch('recordingMedia', { params });
        expect((await media.arrayBuffer()).byteLength, what).toBe(sizeBytes);
      } else {
        await expect.poll(async () => (await tombstoneOf())?.isFinished, { timeout: 20_000 }).toBe(true);
        expect(await filesOf(recordingId), what).toEqual([]);
        const refusal = await admin.refusal('recording', { params });
        expect(refusal, what).toMatchObject({ code: 'RECORDING_NOT_FOUND' });
      }
    }
  }
  // Otherwise nothing was proven.
  expect(cutOff, `seed ${seed}`).toBeGreaterThan(0);
  relay.child.kill('SIGTERM');
  expect(await relay.exit).toEqual([0, null]);
});
