import { copyFile, mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createId, type Derivative, type DerivativeKind, type Id } from '@proofcast/shared';
import { loadWebmClip } from '@proofcast/shared/testing/webm-clip';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { aMoment, packetTimes } from '../../testing/derivative-world.ts';
import type { TestClient } from '../../testing/test-client.ts';
import { TestDevice } from '../../testing/test-device.ts';
import { startTestRelay, type TestRelay } from '../../testing/test-relay.ts';
import { recordingPaths } from '../recording/paths.ts';

const CLIP = loadWebmClip('vp8-opus');
const STARTED_AT_MS = Date.UTC(2026, 10, 22, 9, 8, 7);

let test: TestRelay;
let auditor: TestClient;
let foreignAuditor: TestClient;
let addRecording: (fields?: { isSealed: boolean }) => Promise<Id>;
let recordingId: Id;

beforeAll(async () => {
  test = await startTestRelay({ env: { MIN_FREE_BYTES: '0' } });
  const device = await TestDevice.enrol(await test.signInAdmin(), '../../Desk "3"');
  const { streamId } = await device.publishTokens(test.client());
  addRecording = async ({ isSealed } = { isSealed: true }) => {
    const id = createId('recording');
    const { companyId } = test;
    const { deviceId } = device;
    const startedAtUs = STARTED_AT_MS * 1000;
    const media = recordingPaths({ companyId, deviceId, recordingId: id, startedAtUs }).media(0);
    const path = join(test.dataDir, 'recordings', media);
    await mkdir(dirname(path), { recursive: true });
    await copyFile(CLIP.path, path);
    await test.relay.database
      .insertInto('recordings')
      .values({
        recording_id: id,
        company_id: companyId,
        stream_id: streamId,
        device_id: deviceId,
        state: isSealed ? 'sealed' : 'sealing',
        started_at_us: startedAtUs,
        started_at_ms: STARTED_AT_MS,
        created_at_ms: STARTED_AT_MS,
        source_name: '../../Screen 1',
        duration_ms: 5_500,
        chunk_count: 3,
        ...(isSealed ? { media_path: media, media_bytes: CLIP.bytes.length } : {}),
      })
      .execute();
    return id;
  };
  recordingId = await addRecording();
  auditor = await test.signInAs('auditor');
  foreignAuditor = await test.signInAs('auditor', await test.createCompany('Beta'));
});
afterAll(() => test.close());

const ask = (kind: DerivativeKind) =>
  auditor.call('createExport', { params: { recordingId }, body: { kind } });
const fetchFile = (kind: DerivativeKind, headers: Record<string, string> = {}) =>
  auditor.fetch('recordingDerivative', { params: { recordingId, kind }, headers });

/** Asks the page of the recording until it is as far. */
async function untilDone(kind: DerivativeKind): Promise<Derivative> {
  for (;;) {
    const { derivatives } = await auditor.call('recording', { params: { recordingId } });
    const found = derivatives.find((derivative) => derivative.kind === kind);
    if (found?.state === 'done' || found?.state === 'failed') return found;
    await aMoment();
  }
}

describe('an export', () => {
  it('[D2] is made when an auditor asks, shown on the page of the recording, and fetched as a file', async () => {
    const asked = await ask('mp4');
    expect(asked).toMatchObject({ kind: 'mp4', failure: null, sizeBytes: null });
    const early = await auditor.refusal('recordingDerivative', { params: { recordingId, kind: 'mp4' } });
    expect(early).toMatchObject({ code: 'DERIVATIVE_NOT_READY' });
    const done = await untilDone('mp4');
    expect(done).toMatchObject({ state: 'done', progress: 1 });
    expect(await ask('mp4')).toEqual(done);

    const response = await fetchFile('mp4');
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('video/mp4');
    expect(response.headers.get('cache-control')).toBe('private, no-cache');
    expect(response.headers.get('content-disposition')).toBe(
      `attachment; filename="proofcast-20261122T090807Z-${recordingId}.mp4"`,
    );
    const bytes = Buffer.from(await response.arrayBuffer());
    expect(bytes.length).toBe(done.sizeBytes);
    const part = await fetchFile('mp4', { range: 'bytes=4-7' });
    expect(part.status).toBe(206);
    expect(Buffer.from(await part.arrayBuffer()).toString()).toBe('ftyp');
    const { path } = await test.relay.media.derivatives.file(test.companyId, recordingId, 'mp4');
    expect((await packetTimes(path)).length).toBe((await packetTimes(CLIP.path)).length);
  });

  it('[D2] is refused before there is a file', async () => {
    const params = { recordingId: await addRecording({ isSealed: false }) };
    const error = await auditor.refusal('createExport', { params, body: { kind: 'mp4' } });
    expect(error.code).toBe('RECORDING_NOT_READY');
  });

  it('[A3] is refused when it is of no known kind', async () => {
    for (const body of [{ kind: 'avi' }, {}, { kind: '../mp4' }]) {
      const error = await auditor.refusal('createExport', { params: { recordingId }, body });
      expect(error.code).toBe('MESSAGE_INVALID');
    }
    for (const kind of ['avi', '..%2fposter']) {
      const error = await auditor.refusal('recordingDerivative', { params: { recordingId, kind } });
      expect(error.code).toBe('MESSAGE_INVALID');
    }
  });
});

describe('poster and sprite', () => {
  it('[D1] are fetched as pictures, the poster also as the thumbnail of the recording', async () => {
    await ask('poster');
    await ask('sprite');
    await untilDone('poster');
    await untilDone('sprite');
    const poster = await fetchFile('poster');
    expect(poster.headers.get('content-type')).toBe('image/jpeg');
    expect(poster.headers.get('content-disposition')).toMatch(/^inline; /);
    const thumbnail = await auditor.fetch('recordingThumbnail', { params: { recordingId } });
    expect(await thumbnail.arrayBuffer()).toEqual(await poster.arrayBuffer());
    const tiles = await auditor.call('recordingSpriteTiles', { params: { recordingId } });
    expect(tiles.timesMs[0]).toBeLessThan(100);
    expect(tiles).toMatchObject({ tileWidthPx: 160, tileHeightPx: 90 });
    const { recordings } = await auditor.call('recordings');
    const listed = recordings.find((recording) => recording.recordingId === recordingId);
    expect(listed?.hasThumbnail).toBe(true);
  });

  it('[D2] are missed when nobody has made them, and with a coded error when they have gone from the disk', async () => {
    const other = { recordingId: await addRecording() };
    expect(await auditor.refusal('recordingSpriteTiles', { params: other })).toMatchObject({
      code: 'NOT_FOUND',
    });
    const { path } = await test.relay.media.derivatives.file(test.companyId, recordingId, 'sprite');
    await rm(path);
    const gone = await auditor.refusal('recordingDerivative', { params: { recordingId, kind: 'sprite' } });
    expect(gone.status).toBe(404);
  });
});

describe('derivatives of others', () => {
  it('[A2] do not exist for another company, and cannot be asked for', async () => {
    const params = { recordingId, kind: 'poster' };
    for (const name of ['recordingDerivative', 'recordingSpriteTiles'] as const) {
      expect(await foreignAuditor.refusal(name, { params })).toMatchObject({ code: 'RECORDING_NOT_FOUND' });
    }
    const error = await foreignAuditor.refusal('createExport', { params, body: { kind: 'mp4' } });
    expect(error.code).toBe('RECORDING_NOT_FOUND');
  });

  it('[A1] are not for those who watch live only or look after the machines', async () => {
    const params = { recordingId, kind: 'poster' };
    for (const role of ['viewer', 'ops'] as const) {
      const client = await test.signInAs(role);
      expect(await client.refusal('recordingDerivative', { params })).toMatchObject({ code: 'FORBIDDEN' });
      expect(await client.refusal('recordingSpriteTiles', { params })).toMatchObject({ code: 'FORBIDDEN' });
      const asked = await client.refusal('createExport', { params, body: { kind: 'mp4' } });
      expect(asked).toMatchObject({ code: 'FORBIDDEN' });
    }
  });
});
