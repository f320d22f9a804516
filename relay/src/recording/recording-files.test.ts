import { mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createId, type DevicePrincipal, type Id } from '@proofcast/shared';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { MediaWorld } from '../../testing/media-world.ts';
import { Retention } from '../retention/retention.ts';
import { recordingPaths } from './paths.ts';

const COUNT = 2_000;
const STARTED_AT_US = 1_790_000_000_000_000;
/** What stands in the file of each. */
const BYTES = 'some bytes';

let world: MediaWorld;
let device: DevicePrincipal;
/** How often the folder of journals was listed. */
let lists: number;

beforeEach(async () => {
  lists = 0;
  world = await MediaWorld.open({
    wrapJournals: (folder) => ({
      ...folder,
      list: () => {
        lists += 1;
        return folder.list();
      },
    }),
  });
  device = await world.device();
});
afterEach(() => world.close());

const pathsOf = (recordingId: Id) => recordingPaths({ ...device, recordingId, startedAtUs: STARTED_AT_US });

/** Old recordings of one day, as they lie there when they are sealed. */
async function makeSealed(count: number): Promise<Id[]> {
  const recordingIds = Array.from({ length: count }, () => createId('recording'));
  const rows = recordingIds.map((recordingId) => ({
    recording_id: recordingId,
    company_id: device.companyId,
    stream_id: device.streamId,
    device_id: device.deviceId,
    state: 'sealed' as const,
    started_at_us: STARTED_AT_US,
    started_at_ms: STARTED_AT_US / 1000,
    source_name: '',
    created_at_ms: 0,
    ended_at_ms: 0,
    media_path: pathsOf(recordingId).media(0),
    manifest_path: pathsOf(recordingId).manifest,
  }));
  for (let at = 0; at < rows.length; at += 500) {
    await world.database
      .insertInto('recordings')
      .values(rows.slice(at, at + 500))
      .execute();
  }
  for (const recordingId of recordingIds) {
    const path = join(world.dataDir, 'recordings', pathsOf(recordingId).media(0));
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, BYTES);
  }
  return recordingIds;
}

function preview(): ReturnType<Retention['preview']> {
  const { media, database } = world;
  const retention = new Retention({
    database,
    media,
    clock: { nowMs: () => Date.now() },
    log: pino({ level: 'silent' }),
    maxPreviewedRecordings: 10,
  });
  return retention.preview(device.companyId, { deleteAfterDays: 1 });
}

test('[K3] a dry run looks at the journals once, however many recordings there are', async () => {
  await makeSealed(COUNT);
  lists = 0;
  expect(await preview()).toMatchObject({ recordingCount: COUNT, sizeBytes: COUNT * BYTES.length });
  expect(lists).toBe(1);
});

test('[K3] a dry run counts what there is, also where a file lies in the place of a folder, or nothing', async () => {
  const [recordingId = ''] = await makeSealed(2);
  expect(await preview()).toMatchObject({ recordingCount: 2, sizeBytes: 2 * BYTES.length });
  const folder = join(world.dataDir, 'recordings', pathsOf(recordingId).folder);
  await rm(folder, { recursive: true });
  expect(await preview()).toMatchObject({ recordingCount: 2, sizeBytes: 0 });
  await writeFile(folder, 'not a folder');
  expect(await preview()).toMatchObject({ recordingCount: 2, sizeBytes: 0 });
  await rm(dirname(folder), { recursive: true });
  await writeFile(dirname(folder), 'not a folder either');
  expect(await preview()).toMatchObject({ recordingCount: 2, sizeBytes: 0 });
});
