import { CodedError } from '@proofcast/shared';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EPOCH, KIB, SOURCE, SpoolWorld, UPLOAD_LIMITS } from '../../testing/spool-world.ts';
import { TestApi } from '../../testing/test-api.ts';
import { DeviceIdentity } from './device-identity.ts';
import { createIpcHandlers } from './ipc-handlers.ts';
import type { IpcHandlers } from './ipc-server.ts';
import { Recordings } from './recordings.ts';
import { SettingsFile } from './settings.ts';
import { Sharing } from './sharing.ts';
import { UploadQueue } from './upload-queue.ts';

const WINDOW = { sourceId: 'window:7:0', name: 'Letter' };

let folder: string;
let api: TestApi;
let world: SpoolWorld;
let settings: SettingsFile;
let identity: DeviceIdentity;
let queue: UploadQueue;
let recordings: Recordings;
let sharing: Sharing;
let handlers: IpcHandlers;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'proofcast-handlers-'));
  world = await SpoolWorld.open();
  api = await TestApi.open();
  settings = await SettingsFile.open(folder, world.log);
  identity = await DeviceIdentity.open({
    directory: folder,
    settings,
    keyStore: {
      isAsyncEncryptionAvailable: () => Promise.resolve(false),
      encryptStringAsync: () => Promise.reject(new Error('There is none.')),
      decryptStringAsync: () => Promise.reject(new Error('There is none.')),
      getSelectedStorageBackend: () => 'basic_text',
    },
    requestTimeoutMs: 2_000,
    log: world.log,
    onChanged: () => undefined,
  });
  await identity.enrol(api.url, api.code);
  openParts();
});
afterEach(async () => {
  recordings.close();
  queue.close();
  await api.close();
  await world.close();
  await rm(folder, { recursive: true, force: true });
});

/** What the app makes of the spool when it starts. The relay takes no chunks. */
function openParts(): void {
  queue = new UploadQueue({
    limits: UPLOAD_LIMITS,
    log: world.log,
    accessFor: () => ({
      get: () => Promise.reject(new CodedError('UNAVAILABLE', 'The relay is away.')),
      discard: () => undefined,
    }),
    remove: (recording) => world.spool.remove(recording),
    onChanged: () => undefined,
  });
  recordings = new Recordings({
    spool: world.spool,
    queue,
    stallAfterMs: 60_000,
    resumeWindowMs: 60_000,
    isOurs: ({ start }) => start.deviceId === identity.enrolment?.deviceId,
    log: world.log,
    onChanged: () => undefined,
  });
  sharing = new Sharing(() => undefined);
  handlers = createIpcHandlers({
    settings,
    identity,
    recordings,
    sharing,
    log: world.log,
    listSources: () => Promise.resolve([]),
    readState: () => {
      throw new Error('Nobody asks for it here.');
    },
    onPageReplaced: () => Promise.resolve(),
    lendGesture: () => Promise.resolve(),
    onPageProven: () => undefined,
  });
}

/** A share of `source` with one slice, as the page does it. */
async function share(source = SOURCE) {
  await handlers.beginSharing({ source });
  sharing.takeSource();
  const { recordingId } = await handlers.openRecording({});
  const { epoch } = await handlers.beginEpoch({ recordingId, start: EPOCH });
  const captureTimeUs = Date.now() * 1000;
  await handlers.appendSlice({ recordingId, epoch, captureTimeUs, bytes: new Uint8Array(KIB) });
  return { recordingId, epoch };
}

describe('a share', () => {
  it('remembers its source for the next time', async () => {
    await handlers.beginSharing({ source: WINDOW });
    await expect
      .poll(async () => (await SettingsFile.open(folder, world.log)).current.lastSourceId)
      .toBe(WINDOW.sourceId);
  });

  it('[U4] begins, changes its source and is resumed although the settings cannot be written', async () => {
    await share();
    await world.reopen();
    recordings.close();
    queue.close();
    openParts();
    const resumes = recordings.resumable?.recordingId;
    expect(resumes).toBeDefined();
    // The file of the settings is not to be replaced: there is a folder in its place.
    await rm(join(folder, 'settings.json'));
    await mkdir(join(folder, 'settings.json', 'in-the-way'), { recursive: true });
    await handlers.beginSharing({ source: SOURCE, ...(resumes ? { resumes } : {}) });
    await expect(settings.update({})).rejects.toThrow();
    expect(sharing.takeSource()).toBe(SOURCE.sourceId);
    expect((await handlers.openRecording({})).recordingId).toBe(resumes);
    await handlers.beginSharing({ source: WINDOW });
    expect(sharing.takeSource()).toBe(WINDOW.sourceId);
  });

  it('that ends while its recording is begun leaves none open', async () => {
    await handlers.beginSharing({ source: SOURCE });
    const opening = (async () => handlers.openRecording({}))();
    await handlers.endSharing({});
    await expect(opening).rejects.toMatchObject({ code: 'MESSAGE_UNEXPECTED' });
    expect(world.spool.recordings.map(({ chunkCount }) => chunkCount)).toEqual([0]);
  });

  it('does not lose the source that it has changed to when the end of the one before is told late', async () => {
    const { recordingId, epoch } = await share();
    await handlers.beginSharing({ source: WINDOW });
    sharing.takeSource();
    const reason = 'source-ended';
    await handlers.endEpoch({ recordingId, epoch, sourceId: SOURCE.sourceId, reason });
    sharing.interrupt();
    expect(sharing.description).toMatchObject({ kind: 'interrupted', source: WINDOW });
  });

  it('loses its source when that has ended', async () => {
    const { recordingId, epoch } = await share();
    const end = { epoch, sourceId: SOURCE.sourceId, reason: 'source-ended' } as const;
    await handlers.endEpoch({ recordingId, ...end });
    expect(sharing.description).toMatchObject({ kind: 'lost', source: SOURCE });
  });
});

describe('an enrolment', () => {
  const keys = async () => (await readdir(folder)).filter((name) => name.startsWith('device-key'));

  it('is forgotten when nothing waits', async () => {
    await handlers.forgetEnrolment({ isBacklogGivenUp: false });
    expect(identity.enrolment).toBeNull();
    expect(await keys()).toEqual([]);
  });

  it('[U13] is not forgotten, and keeps its key, while its recordings wait and are not given up', async () => {
    await share();
    await expect((async () => handlers.forgetEnrolment({ isBacklogGivenUp: true }))()).rejects.toMatchObject({
      code: 'MESSAGE_UNEXPECTED',
    });
    await handlers.endSharing({});
    const { backlogBytes } = recordings;
    expect(backlogBytes).toBeGreaterThan(KIB);
    await expect((async () => handlers.forgetEnrolment({ isBacklogGivenUp: false }))()).rejects.toMatchObject(
      { code: 'MESSAGE_UNEXPECTED', details: { backlogBytes } },
    );
    expect(await keys()).toHaveLength(1);
    await handlers.forgetEnrolment({ isBacklogGivenUp: true });
    expect(await keys()).toEqual([]);
    expect(world.spool.recordings).toHaveLength(1);
  });
});
