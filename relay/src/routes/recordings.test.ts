import { mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createId, routePath, type Id } from '@proofcast/shared';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { rawRequest } from '../../testing/raw-request.ts';
import type { TestClient } from '../../testing/test-client.ts';
import { TestDevice } from '../../testing/test-device.ts';
import { startTestRelay, type TestRelay } from '../../testing/test-relay.ts';

/** Bytes that say where they are, so that a wrong range shows. */
const MEDIA = Buffer.from(Array.from({ length: 5_000 }, (_, index) => index % 251));
const THUMBNAIL = Buffer.from([0xff, 0xd8, 0xff, 0xd9]);

let test: TestRelay;
let auditor: TestClient;
let foreignAuditor: TestClient;
let add: (state: 'sealed' | 'sealing') => Promise<Id>;
let sealed: Id;
let sealing: Id;

beforeAll(async () => {
  test = await startTestRelay();
  const device = await TestDevice.enrol(await test.signInAdmin(), 'Desk 3');
  const { streamId } = await device.publishTokens(test.client());
  add = async (state) => {
    const recordingId = createId('recording');
    const mediaPath = join(test.companyId, `${recordingId}.webm`);
    const thumbnailPath = join(test.companyId, `${recordingId}.jpg`);
    await writeMedia(mediaPath, MEDIA);
    await writeMedia(thumbnailPath, THUMBNAIL);
    await test.relay.database
      .insertInto('recordings')
      .values({
        recording_id: recordingId,
        company_id: test.companyId,
        stream_id: streamId,
        device_id: device.deviceId,
        state,
        started_at_us: 1_700_000_000_000_000,
        started_at_ms: 1_700_000_000_000,
        created_at_ms: 1_700_000_000_000,
        source_name: 'Screen 1',
        ...(state === 'sealed'
          ? { media_path: mediaPath, media_bytes: MEDIA.length, thumbnail_path: thumbnailPath }
          : {}),
      })
      .execute();
    return recordingId;
  };
  [sealed, sealing] = [await add('sealed'), await add('sealing')];
  auditor = await test.signInAs('auditor');
  foreignAuditor = await test.signInAs('auditor', await test.createCompany('Beta'));
});
afterAll(() => test.close());

async function writeMedia(relativePath: string, bytes: Buffer): Promise<void> {
  const path = join(test.dataDir, 'recordings', relativePath);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, bytes);
}

const media = (headers: Record<string, string> = {}, method = 'GET') =>
  auditor.fetch('recordingMedia', { params: { recordingId: sealed }, headers, method });

describe('the list of recordings', () => {
  it('[A2] shows those of the own company, and says of one alone the same', async () => {
    const { recordings } = await auditor.call('recordings');
    expect(recordings.map(({ recordingId }) => recordingId).toSorted()).toEqual([sealed, sealing].toSorted());
    const listed = recordings.find(({ recordingId }) => recordingId === sealed);
    expect(listed).toMatchObject({ deviceName: 'Desk 3', sourceName: 'Screen 1', sizeBytes: MEDIA.length });
    expect(await auditor.call('recording', { params: { recordingId: sealed } })).toEqual(listed);
    expect(await foreignAuditor.call('recordings')).toEqual({ recordings: [] });
  });

  it('[A3] reads numbers from the query, and refuses what are none', async () => {
    expect((await auditor.call('recordings', { query: { limit: '1' } })).recordings).toHaveLength(1);
    expect(await auditor.call('recordings', { query: { beforeMs: '1' } })).toEqual({ recordings: [] });
    for (const query of [{ limit: '0' }, { limit: 'many' }, { limit: '1000' }, { streamId: '../etc' }]) {
      expect(await auditor.refusal('recordings', { query })).toMatchObject({ code: 'MESSAGE_INVALID' });
    }
  });
});

describe('the file of a recording', () => {
  it('[A9] comes whole, as webm, with a validator, for nobody else to keep', async () => {
    const response = await media();
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('video/webm');
    expect(response.headers.get('accept-ranges')).toBe('bytes');
    expect(response.headers.get('cache-control')).toBe('private, no-cache');
    expect(response.headers.get('etag')).toMatch(/^(W\/)?"/);
    expect(Buffer.from(await response.arrayBuffer())).toEqual(MEDIA);
  });

  it.each([
    ['bytes=0-0', 0, 1],
    ['bytes=100-199', 100, 200],
    ['bytes=4990-', 4990, 5000],
    ['bytes=-10', 4990, 5000],
    ['bytes=4990-9999', 4990, 5000],
  ])('[A9] comes in part for %s', async (range, start, end) => {
    const response = await media({ range });
    expect(response.status).toBe(206);
    expect(response.headers.get('content-range')).toBe(`bytes ${start}-${end - 1}/5000`);
    expect(response.headers.get('content-type')).toBe('video/webm');
    expect(Buffer.from(await response.arrayBuffer())).toEqual(MEDIA.subarray(start, end));
  });

  it('[A9] is refused for a range outside of it, with its length', async () => {
    const response = await media({ range: 'bytes=5000-' });
    expect(response.status).toBe(416);
    expect(response.headers.get('content-range')).toBe('bytes */5000');
    expect(await response.json()).toMatchObject({ code: 'RANGE_UNSATISFIABLE' });
  });

  it('[A9] comes whole when the part would be of another version', async () => {
    const lastModified = (await media()).headers.get('last-modified') ?? '';
    const same = await media({ range: 'bytes=0-9', 'if-range': lastModified });
    expect(same.status).toBe(206);
    expect((await media({ range: 'bytes=0-9', 'if-range': '"another"' })).status).toBe(200);
  });

  it('[A9] is not sent again to a browser that has it', async () => {
    const etag = (await media()).headers.get('etag') ?? '';
    const answer = await rawRequest(test.relay.url, {
      path: routePath('recordingMedia', { recordingId: sealed }),
      headers: { Cookie: auditor.cookie, 'If-None-Match': etag },
    });
    expect(answer).toMatch(/^HTTP\/1\.1 304 /);
  });

  it('[A9] tells its length to HEAD without sending it', async () => {
    const response = await media({}, 'HEAD');
    expect(response.status).toBe(200);
    expect(response.headers.get('content-length')).toBe('5000');
    expect(await response.text()).toBe('');
  });

  it('may be left in the middle, which harms nobody', async () => {
    const large = await add('sealed');
    await writeMedia(join(test.companyId, `${large}.webm`), Buffer.alloc(32 * 1024 * 1024));
    const response = await auditor.fetch('recordingMedia', { params: { recordingId: large } });
    const reader = response.body?.getReader();
    await reader?.read();
    await reader?.cancel();
    expect((await media()).status).toBe(200);
  });

  it('has a picture', async () => {
    const response = await auditor.fetch('recordingThumbnail', { params: { recordingId: sealed } });
    expect(response.headers.get('content-type')).toBe('image/jpeg');
    expect(Buffer.from(await response.arrayBuffer())).toEqual(THUMBNAIL);
  });

  it('is not there before it is sealed', async () => {
    const error = await auditor.refusal('recordingMedia', { params: { recordingId: sealing } });
    expect(error.code).toBe('RECORDING_NOT_READY');
  });

  it('is missed with a coded error, not with a page, when it has gone from the disk', async () => {
    const gone = await add('sealed');
    await rm(join(test.dataDir, 'recordings', test.companyId, `${gone}.webm`));
    const params = { recordingId: gone };
    const error = await auditor.refusal('recordingMedia', { params, headers: { accept: 'text/html' } });
    expect(error.status).toBe(404);
  });

  it('[A2] does not exist for another company, in any of its forms', async () => {
    for (const name of ['recording', 'recordingMedia', 'recordingThumbnail'] as const) {
      const error = await foreignAuditor.refusal(name, { params: { recordingId: sealed } });
      expect(error.code).toBe('RECORDING_NOT_FOUND');
      expect(await auditor.refusal(name, { params: { recordingId: '..%2f..%2fetc' } })).toMatchObject({
        code: 'MESSAGE_INVALID',
      });
    }
  });

  it('[A1] is not for those who may watch live only, nor for HEAD without a session', async () => {
    const viewer = await test.signInAs('viewer');
    expect(await viewer.refusal('recordingMedia', { params: { recordingId: sealed } })).toMatchObject({
      code: 'FORBIDDEN',
    });
    const head = await test
      .client()
      .fetch('recordingMedia', { params: { recordingId: sealed }, method: 'HEAD' });
    expect(head.status).toBe(401);
  });
});
