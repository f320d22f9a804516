import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { routePath, WebmScanner, type Id } from '@proofcast/shared';
import { initSegment, openCluster, simpleBlock } from '@proofcast/shared/testing/webm-bytes';
import { loadWebmClip } from '@proofcast/shared/testing/webm-clip';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectPublisher, publishClip, publishRecording } from '../../testing/publish-recording.ts';
import { rawRequest } from '../../testing/raw-request.ts';
import type { TestClient } from '../../testing/test-client.ts';
import { TestDevice } from '../../testing/test-device.ts';
import type { TestPublisher } from '../../testing/test-publisher.ts';
import { startTestRelay, type TestRelay } from '../../testing/test-relay.ts';

let test: TestRelay;
let auditor: TestClient;
let foreignAuditor: TestClient;
/** Sealed, provisional and being made. */
let sealed: Id;
let provisional: Id;
let live: Id;
let publisher: TestPublisher;
/** What the sealed one consists of. */
let bytes: Buffer;

beforeAll(async () => {
  test = await startTestRelay({ env: { RECONNECT_GRACE_MS: '0' } });
  const admin = await test.signInAdmin();
  const client = test.client();
  const device = await TestDevice.enrol(admin, 'Desk 3');
  sealed = await publishRecording({ device, client });
  const lost = await publishClip({ device, client });
  provisional = lost.maker.start.recordingId;
  lost.socket.terminate();
  publisher = await publishClip({ device: await TestDevice.enrol(admin, 'Desk 4'), client });
  live = publisher.maker.start.recordingId;
  auditor = await test.signInAs('auditor');
  foreignAuditor = await test.signInAs('auditor', await test.createCompany('Beta'));
  while ((await stateOf(provisional)) !== 'provisional') await new Promise(setImmediate);
  await test.relay.media.whenSealed();
  bytes = await download(sealed);
}, 60_000);
afterAll(() => test.close());

const stateOf = async (recordingId: Id) =>
  (await auditor.call('recording', { params: { recordingId } })).state;

const media = (
  recordingId: Id,
  { headers = {}, method = 'GET', query = {} }: Parameters<TestClient['fetch']>[1] = {},
): Promise<Response> => auditor.fetch('recordingMedia', { params: { recordingId }, headers, method, query });

async function download(recordingId: Id, query: Record<string, string> = {}): Promise<Buffer> {
  const response = await media(recordingId, { query });
  expect(response.status).toBe(200);
  return Buffer.from(await response.arrayBuffer());
}

/** Where the media of a recording without a file is found, without following there. */
async function pinOf(recordingId: Id): Promise<Record<string, string>> {
  const answer = await rawRequest(test.relay.url, {
    path: routePath('recordingMedia', { recordingId }),
    headers: { Cookie: auditor.cookie },
  });
  expect(answer).toMatch(/^HTTP\/1\.1 307 /);
  expect(answer).toMatch(/^cache-control: no-store\r$/im);
  const [, location = ''] = /^location: (.*)\r$/im.exec(answer) ?? [];
  const { pathname, searchParams } = new URL(location, test.relay.url);
  expect(pathname).toBe(routePath('recordingMedia', { recordingId }));
  return Object.fromEntries(searchParams);
}

describe('the list of recordings', () => {
  it('[A2] shows those of the own company, and says of one alone the same and more', async () => {
    const { recordings } = await auditor.call('recordings');
    expect(recordings.map(({ recordingId }) => recordingId).toSorted()).toEqual(
      [sealed, provisional, live].toSorted(),
    );
    const listed = recordings.find(({ recordingId }) => recordingId === sealed);
    expect(listed).toMatchObject({
      deviceName: 'Desk 3',
      sourceName: 'Entire screen',
      state: 'sealed',
      isComplete: true,
      gapCount: 0,
      sizeBytes: bytes.length,
    });
    const alone = await auditor.call('recording', { params: { recordingId: sealed } });
    expect(alone).toMatchObject({ ...listed, hasThumbnail: expect.any(Boolean) });
    expect(await foreignAuditor.call('recordings')).toEqual({ recordings: [] });
  });

  it('[A3] reads numbers from the query, and refuses what are none', async () => {
    expect((await auditor.call('recordings', { query: { limit: '1' } })).recordings).toHaveLength(1);
    expect(await auditor.call('recordings', { query: { beforeMs: '1' } })).toEqual({ recordings: [] });
    for (const query of [{ limit: '0' }, { limit: 'many' }, { limit: '1000' }, { streamId: '../etc' }]) {
      expect(await auditor.refusal('recordings', { query })).toMatchObject({ code: 'MESSAGE_INVALID' });
    }
    for (const query of [{ chunks: '0' }, { chunks: '-1' }, { chunks: 'all' }, { part: '-1' }]) {
      const params = { recordingId: sealed };
      expect(await auditor.refusal('recordingMedia', { params, query })).toMatchObject({
        code: 'MESSAGE_INVALID',
      });
    }
  });

  it('[A14] says of each what it consists of, what is missing in it and what happened', async () => {
    for (const [recordingId, isComplete] of [
      [sealed, true],
      [provisional, false],
      [live, false],
    ] as const) {
      const details = await auditor.call('recording', { params: { recordingId } });
      const { startedAtMs } = details;
      expect(details).toMatchObject({
        isComplete,
        chunkCount: publisher.maker.chunks.length,
        parts: [{ part: 0, startedAtMs, durationMs: expect.any(Number), sizeBytes: bytes.length }],
        events: [{ atMs: expect.any(Number), epoch: 0, type: 'epoch-started' }],
        eventCount: 1,
      });
      expect(details.events[0]?.data).toMatchObject({ sourceName: 'Entire screen', widthPx: 320 });
    }
  });
});

describe('the media of a recording', () => {
  it('[A9] comes whole, as webm, with a strong validator, for nobody else to keep', async () => {
    const response = await media(sealed);
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('video/webm');
    expect(response.headers.get('accept-ranges')).toBe('bytes');
    expect(response.headers.get('cache-control')).toBe('private, no-cache');
    expect(response.headers.get('etag')).toMatch(/^"[^"]+"$/);
    const received = Buffer.from(await response.arrayBuffer());
    const blocks = (webm: Uint8Array) =>
      new WebmScanner().push(webm).filter(({ type }) => type === 'block').length;
    expect(blocks(received)).toBe(blocks(loadWebmClip('vp8').bytes));
  });

  it('[A10] can be had in every state that it goes through, from where the bytes are', async () => {
    for (const recordingId of [provisional, live]) {
      expect(await pinOf(recordingId)).toEqual({ chunks: String(publisher.maker.chunks.length), part: '0' });
      // fetch follows there; the same picture in the same order makes the same file but for its date.
      expect((await download(recordingId)).length).toBe(bytes.length);
    }
    expect((await download(sealed, { chunks: String(publisher.maker.chunks.length) })).equals(bytes)).toBe(
      true,
    );
  });

  it('[A12] is the same for the same number of chunks, however many come later', async () => {
    const { maker } = publisher;
    const pinned = await pinOf(live);
    const before = await media(live, { query: pinned });
    maker.epoch({ startedAtUs: maker.start.startedAtUs + 10_000_000 });
    for (const slice of loadWebmClip('vp8').slices) maker.media(slice);
    publisher.upload(Number(pinned['chunks']));
    await publisher.untilDurable();
    const after = await media(live, { query: pinned });
    expect(after.headers.get('etag')).toBe(before.headers.get('etag'));
    const [one, two] = await Promise.all([before.arrayBuffer(), after.arrayBuffer()]);
    expect(Buffer.from(two).equals(Buffer.from(one))).toBe(true);
    const now = await pinOf(live);
    expect(Number(now['chunks'])).toBe(maker.chunks.length);
    const newer = await media(live, { query: now });
    expect(newer.headers.get('etag')).not.toBe(before.headers.get('etag'));
    expect((await newer.arrayBuffer()).byteLength).toBeGreaterThan(one.byteLength);
  });

  it('[A12] is refused for more chunks than there are, fewer than were sealed, and parts that do not exist', async () => {
    const refusal = (recordingId: Id, query: Record<string, string>) =>
      auditor.refusal('recordingMedia', { params: { recordingId }, query });
    expect(await refusal(live, { chunks: '9999' })).toMatchObject({
      code: 'RECORDING_NOT_READY',
      details: { chunkCount: publisher.maker.chunks.length },
    });
    expect(await refusal(live, { chunks: '1' })).toMatchObject({ code: 'RECORDING_EMPTY' });
    expect(await refusal(live, { part: '1' })).toMatchObject({ code: 'NOT_FOUND' });
    expect(await refusal(sealed, { part: '1' })).toMatchObject({ code: 'NOT_FOUND' });
    expect(await refusal(sealed, { chunks: '2' })).toMatchObject({
      code: 'SNAPSHOT_GONE',
      status: 410,
    });
  });

  describe.each(['sealed', 'provisional'] as const)('of one that is %s', (state) => {
    let recordingId: Id;
    let whole: Buffer;
    let etag: string;
    let query: Record<string, string>;
    beforeAll(async () => {
      recordingId = state === 'sealed' ? sealed : provisional;
      query = state === 'sealed' ? {} : await pinOf(recordingId);
      const response = await media(recordingId, { query });
      etag = response.headers.get('etag') ?? '';
      whole = Buffer.from(await response.arrayBuffer());
    });
    const get = (headers: Record<string, string>, method = 'GET') =>
      media(recordingId, { headers, method, query });

    it.each([
      ['bytes=0-0', 0, 1],
      ['bytes=100-199', 100, 200],
      ['bytes=70000-', 70_000, undefined],
      ['bytes=-10', -10, undefined],
      ['bytes=70000-99999999', 70_000, undefined],
      ['bytes=0-', 0, undefined],
    ])('[A9] comes in part for %s', async (range, start, end) => {
      const expected = whole.subarray(start, end);
      const first = expected.byteOffset - whole.byteOffset;
      const response = await get({ range });
      expect(response.status).toBe(206);
      expect(response.headers.get('content-range')).toBe(
        `bytes ${first}-${first + expected.length - 1}/${whole.length}`,
      );
      expect(response.headers.get('content-length')).toBe(String(expected.length));
      expect(response.headers.get('content-type')).toBe('video/webm');
      expect(Buffer.from(await response.arrayBuffer()).equals(expected)).toBe(true);
    });

    it('[A9] is the same put together of ranges of any size', async () => {
      const parts: Buffer[] = [];
      for (let at = 0; at < whole.length; at += 12_345) {
        const response = await get({ range: `bytes=${at}-${at + 12_344}` });
        expect(response.status).toBe(206);
        parts.push(Buffer.from(await response.arrayBuffer()));
      }
      expect(Buffer.concat(parts).equals(whole)).toBe(true);
    });

    it('[A9] is refused for a range outside of it, with its length', async () => {
      const response = await get({ range: `bytes=${whole.length}-` });
      expect(response.status).toBe(416);
      expect(response.headers.get('content-range')).toBe(`bytes */${whole.length}`);
      expect(await response.json()).toMatchObject({ code: 'RANGE_UNSATISFIABLE' });
    });

    it.each(['bytes=a-b', 'chunks=0-1', 'bytes=0-1,5-9', 'nonsense'])(
      '[A9] comes whole for %s, which is no range that is served',
      async (range) => {
        const response = await get({ range });
        expect(response.status).toBe(200);
        expect((await response.arrayBuffer()).byteLength).toBe(whole.length);
      },
    );

    it('[A9] comes whole when the part would be of another version', async () => {
      expect((await get({ range: 'bytes=0-9', 'if-range': etag })).status).toBe(206);
      for (const other of ['"another"', `W/${etag}`, new Date().toUTCString()]) {
        expect((await get({ range: 'bytes=0-9', 'if-range': other })).status, other).toBe(200);
      }
    });

    it('[A9] is not sent again to a browser that has it', async () => {
      const search = new URLSearchParams(query).toString();
      const path = routePath('recordingMedia', { recordingId }) + (search && `?${search}`);
      for (const candidates of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
        const headers = { Cookie: auditor.cookie, 'If-None-Match': candidates };
        const answer = await rawRequest(test.relay.url, { path, headers });
        expect(answer, candidates).toMatch(/^HTTP\/1\.1 304 /);
        expect(answer).toContain(etag);
        expect(answer.split('\r\n\r\n')[1]).toBe('');
      }
      const headers = { Cookie: auditor.cookie, 'If-None-Match': '"other"' };
      expect(await rawRequest(test.relay.url, { path, headers })).toMatch(/^HTTP\/1\.1 200 /);
    });

    it('[A9] tells its length to HEAD without sending it, whatever the range', async () => {
      for (const headers of [{}, { range: 'bytes=0-9' }]) {
        const response = await get(headers, 'HEAD');
        expect(response.status).toBe(200);
        expect(response.headers.get('content-length')).toBe(String(whole.length));
        expect(response.headers.get('etag')).toBe(etag);
        expect(await response.text()).toBe('');
      }
    });

    it('may be left in the middle, which harms nobody', async () => {
      const response = await get({});
      const reader = response.body?.getReader();
      await reader?.read();
      await reader?.cancel();
      expect((await get({})).status).toBe(200);
    });
  });

  it('is missed with a coded error, not with a page, when it has gone from the disk', async () => {
    const client = test.client();
    const gone = await publishRecording({
      device: await TestDevice.enrol(await test.signInAdmin(), 'Desk 5'),
      client,
    });
    await test.relay.media.whenSealed();
    const row = await test.relay.database
      .selectFrom('recordings')
      .select('media_path')
      .where('recording_id', '=', gone)
      .executeTakeFirstOrThrow();
    await rm(join(test.dataDir, 'recordings', row.media_path ?? ''));
    const params = { recordingId: gone };
    const error = await auditor.refusal('recordingMedia', { params, headers: { accept: 'text/html' } });
    expect(error.code).toBe('STORAGE_FAILED');
  });
});

describe('the manifest of a recording', () => {
  it('[A13] comes as JSON once there is one', async () => {
    const response = await auditor.fetch('recordingManifest', { params: { recordingId: sealed } });
    expect(response.headers.get('content-type')).toBe('application/json');
    expect(response.headers.get('content-disposition')).toMatch(
      new RegExp(`^attachment; filename="[0-9]{6}-${sealed}\\.manifest\\.json"$`),
    );
    expect(await response.json()).toMatchObject({
      format: 'proofcast-manifest',
      isComplete: true,
      recording: { recordingId: sealed, companyId: test.companyId },
      parts: [{ sizeBytes: bytes.length }],
    });
    for (const recordingId of [provisional, live]) {
      const error = await auditor.refusal('recordingManifest', { params: { recordingId } });
      expect(error.code).toBe('RECORDING_NOT_READY');
    }
  });
});

describe('everything of a recording', () => {
  it('[A2] does not exist for another company, in any of its forms and states', async () => {
    for (const recordingId of [sealed, provisional, live]) {
      for (const name of [
        'recording',
        'recordingMedia',
        'recordingManifest',
        'recordingThumbnail',
      ] as const) {
        for (const query of [{}, { chunks: '3', part: '0' }]) {
          const error = await foreignAuditor.refusal(name, { params: { recordingId }, query });
          expect(error.code, name).toBe('RECORDING_NOT_FOUND');
        }
        expect(await auditor.refusal(name, { params: { recordingId: '..%2f..%2fetc' } })).toMatchObject({
          code: 'MESSAGE_INVALID',
        });
      }
    }
  });

  it('[A1] is not for those who may watch live only, nor for HEAD without a session', async () => {
    const viewer = await test.signInAs('viewer');
    for (const name of ['recording', 'recordingMedia', 'recordingManifest', 'recordingThumbnail'] as const) {
      expect(await viewer.refusal(name, { params: { recordingId: live } })).toMatchObject({
        code: 'FORBIDDEN',
      });
      const head = await test.client().fetch(name, { params: { recordingId: live }, method: 'HEAD' });
      expect(head.status).toBe(401);
    }
  });
});

it('[A9] a user may fetch a limited number at a time, and another user is not held up', async () => {
  const small = await startTestRelay({ mediaLimits: { maxDownloadsPerUser: 2 } });
  try {
    const device = await TestDevice.enrol(await small.signInAdmin(), 'Desk 5');
    const large = await connectPublisher({ device, client: small.client() });
    large.maker.epoch();
    large.maker.media(initSegment());
    // More than the buffers between the relay and who reads nothing hold.
    const picture = Buffer.alloc(1_000_000);
    for (let n = 0; n < 20; n++) large.maker.media(openCluster(n * 1000, simpleBlock(1, 0, 0x80, picture)));
    large.upload();
    await large.untilDurable();
    const params = { recordingId: large.maker.start.recordingId };
    const [one, other] = [await small.signInAs('auditor'), await small.signInAs('auditor')];
    const held = [
      await one.fetch('recordingMedia', { params }),
      await one.fetch('recordingMedia', { params }),
    ];
    expect(held.map(({ status }) => status)).toEqual([200, 200]);
    expect(await one.refusal('recordingMedia', { params })).toMatchObject({ code: 'LIMIT_REACHED' });
    expect(await one.refusal('recordingManifest', { params })).toMatchObject({ code: 'LIMIT_REACHED' });
    const others = await other.fetch('recordingMedia', { params });
    expect((await others.arrayBuffer()).byteLength).toBeGreaterThan(20_000_000);
    await held[0]?.body?.cancel();
    // The relay hears of it when it hears of it.
    let again = await one.fetch('recordingMedia', { params });
    while (again.status === 429) again = await one.fetch('recordingMedia', { params });
    expect(again.status).toBe(200);
    await again.body?.cancel();
    await held[1]?.body?.cancel();
  } finally {
    await small.close();
  }
});
