import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ViewerFrameStream } from '@proofcast/shared';
import { isProcessAlive, killProcess } from '@proofcast/shared/testing/processes';
import { loadWebmClip } from '@proofcast/shared/testing/webm-clip';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { connectPublisher, publishClip, publishRecording } from '../testing/publish-recording.ts';
import { RelayProcesses, type RelayProcess } from '../testing/relay-process.ts';
import { TestClient } from '../testing/test-client.ts';
import { TestDevice } from '../testing/test-device.ts';
import { TestViewer } from '../testing/test-viewer.ts';

const ADMIN_PASSWORD = 'a password for tests';
const CREDENTIALS = { email: 'admin@proofcast.local', password: ADMIN_PASSWORD };
const ENV = { ADMIN_PASSWORD, MIN_FREE_BYTES: '0', WARN_FREE_BYTES: '0' };

// Each starts the relay twice, and waits for a merge.
vi.setConfig({ testTimeout: 90_000 });

let dataDir: string;
let programs: string;
const processes = new RelayProcesses();

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'proofcast-shutdown-'));
  programs = await mkdtemp(join(tmpdir(), 'proofcast-programs-'));
});
afterEach(async () => {
  processes.killAll();
  await rm(dataDir, { recursive: true, force: true });
  await rm(programs, { recursive: true, force: true });
});

async function start(env: Record<string, string> = {}): Promise<{ relay: RelayProcess; admin: TestClient }> {
  const relay = processes.start(dataDir, { ...ENV, ...env });
  const admin = new TestClient(await relay.url);
  await admin.call('signIn', { body: CREDENTIALS });
  return { relay, admin };
}

/** The path of an ffmpeg whose ffprobe hangs, so that what is being sealed stays so. */
async function hangingPrograms(): Promise<string> {
  const probe = join(programs, 'ffprobe');
  await writeFile(probe, `#!/bin/sh\necho $$ > '${programs}/pid'\nexec sleep 60\n`);
  await chmod(probe, 0o700);
  return join(programs, 'ffmpeg');
}

const probePid = async (): Promise<number> => Number(await readFile(join(programs, 'pid'), 'utf8'));

/** A relay that has a recording to seal and does not get it done. */
async function startBusy() {
  const started = await start({ FFMPEG_PATH: await hangingPrograms() });
  const device = await TestDevice.enrol(started.admin);
  const recordingId = await publishRecording({ device, client: started.admin });
  await expect
    .poll(() => readFile(join(programs, 'pid'), 'utf8').catch(() => ''), { timeout: 20_000 })
    .not.toBe('');
  return { ...started, device, recordingId };
}

describe('SIGTERM', () => {
  it('[O6] tells every peer, keeps what was received, ends with 0, and the next start goes on', async () => {
    const { relay, admin } = await start();
    const device = await TestDevice.enrol(admin);
    const publisher = await publishClip({ device, client: admin });
    const { streamId } = publisher.maker.start;
    const { ticket } = await admin.call('createViewTicket');
    const viewer = new TestViewer(await admin.open('view', { query: { ticket } }));
    viewer.watch(1, streamId);
    await viewer.framesUntil(publisher.maker.chunks.length - 1);
    const live = await admin.fetch('streamLive', { params: { streamId } });
    // Received, and perhaps not durable yet.
    const sent = publisher.maker.chunks.length;
    publisher.maker.epoch();
    publisher.maker.media(loadWebmClip('vp9').bytes);
    publisher.upload(sent);
    await publisher.untilReceived();

    relay.child.kill('SIGTERM');
    const told = { code: 4503, reason: expect.stringMatching(/^SHUTTING_DOWN: /) as string };
    expect(await publisher.closed).toEqual(told);
    expect(await viewer.closed).toEqual(told);
    expect(lastMessageOf(new Uint8Array(await live.arrayBuffer()))).toMatchObject({
      type: 'ended',
      data: { reason: { code: 'SHUTTING_DOWN' } },
    });
    expect(await relay.exit).toEqual([0, null]);

    const next = await start();
    const { maker } = publisher;
    const again = await connectPublisher({ device, client: next.admin, maker });
    const { received, durable } = await again.next('ack');
    expect([received, durable]).toEqual([maker.chunks.length, maker.chunks.length]);
    const { recordingId } = await again.stop();
    expect(recordingId).toBe(maker.start.recordingId);
  });

  it('[O6] makes /readyz say 503 at once, while a merge still gets its time, which the next start does again', async () => {
    const { relay, admin, recordingId } = await startBusy();
    const statusOf = async () => {
      const response = await admin.get('/readyz');
      return [response.status, await response.json()];
    };
    expect(await statusOf()).toMatchObject([200, { status: 'ready' }]);
    relay.child.kill('SIGTERM');
    await expect
      .poll(statusOf, { interval: 5, timeout: 20_000 })
      .toMatchObject([503, { code: 'SHUTTING_DOWN' }]);
    // The merge goes on meanwhile: the relay ends what it runs before it ends.
    expect(isProcessAlive(await probePid())).toBe(true);
    expect(await admin.refusal('recordings')).toMatchObject({ code: 'SHUTTING_DOWN' });
    expect(await relay.exit).toEqual([0, null]);

    const next = await start();
    const state = async () => (await next.admin.call('recording', { params: { recordingId } })).state;
    await expect.poll(state, { timeout: 20_000 }).toBe('sealed');
  });
});

describe('a second signal', () => {
  it('[O7] ends the process at once with 1, and nothing acknowledged is lost', async () => {
    const { relay, admin, device, recordingId } = await startBusy();
    const publisher = await publishClip({ device, client: admin });
    relay.child.kill('SIGTERM');
    await publisher.closed;
    relay.child.kill('SIGTERM');
    expect(await relay.exit).toEqual([1, null]);
    // The merge was not waited for: the relay would have ended it, and itself with 0.
    const pid = await probePid();
    expect(isProcessAlive(pid)).toBe(true);
    killProcess(pid);

    const next = await start();
    const again = await connectPublisher({ device, client: next.admin, maker: publisher.maker });
    expect(await again.next('ack')).toMatchObject({ durable: publisher.maker.chunks.length });
    await again.stop();
    const state = async () => (await next.admin.call('recording', { params: { recordingId } })).state;
    await expect.poll(state, { timeout: 20_000 }).toBe('sealed');
  });
});

/** What the last message in a streamed body says. */
function lastMessageOf(body: Uint8Array): unknown {
  const frames = new ViewerFrameStream().push(body);
  const last = frames.findLast(({ kind, payload }) => kind === 'control' && payload.length > 0);
  return JSON.parse(new TextDecoder().decode(last?.payload));
}
