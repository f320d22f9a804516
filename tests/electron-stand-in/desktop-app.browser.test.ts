/**
 * The real desktop app on the stand-in, against real services in processes of their own: what a person sees when all
 * goes well, and when it does not. Screenshots of every view lie in `test-results/desktop` afterwards.
 */
import axe from 'axe-core';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Locator } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MAX_STILL_BYTES, type Recording } from '../../shared/src/index.ts';
import { TestClient } from '../../relay/testing/test-client.ts';
import { TestViewer } from '../../relay/testing/test-viewer.ts';
import { fillForm } from '../harness/form.ts';
import { startServices, type Services } from '../harness/services.ts';
import { openStampedScreen, type StampedScreen } from '../harness/stamped-screen.ts';
import { launchDesktop, type DesktopApp } from './launch.ts';

/** The longest delay between two attempts to connect, one attempt that comes to nothing, and another such delay. */
const RECONNECT_TIMEOUT_MS = 60_000;

const SCREENSHOTS = resolve(import.meta.dirname, '../../test-results/desktop');

let folder: string;
let services: Services;
let screen: StampedScreen;
let admin: TestClient;
let app: DesktopApp;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'proofcast-desktop-'));
  await mkdir(SCREENSHOTS, { recursive: true });
  [services, screen] = await Promise.all([startServices(), openStampedScreen()]);
  admin = new TestClient(services.relay.url);
  await admin.call('signIn', { body: services.admin });
});

afterAll(async () => {
  await Promise.all([screen?.close(), services?.close()]);
  await rm(folder, { recursive: true, force: true });
});

const userDataDir = () => join(folder, 'desktop');
const launch = () => launchDesktop({ display: screen.display, userDataDir: userDataDir() });
const byTestId = (id: string): Locator => app.page.getByTestId(id);
const field = (id: string): Locator => byTestId(id).locator('input');
const path = (which: 'live' | 'recording', state: string): Promise<void> =>
  app.page
    .locator(`[data-testid="${which}-path"][data-state="${state}"]`)
    .waitFor({ timeout: RECONNECT_TIMEOUT_MS });

/** The recordings on the disk of the device. */
const spooled = async (): Promise<string[]> =>
  (await readdir(join(userDataDir(), 'spool'))).filter((name) => name.startsWith('rec_'));
const uploads = (state: string): Locator =>
  app.page.locator(`[data-testid="upload"][data-state="${state}"]`).first();

async function enrol(): Promise<void> {
  const { code } = await admin.call('createEnrolmentCode', { body: { deviceName: 'Reception desk' } });
  await fillForm(app.page, { 'server-url': services.relay.url, 'enrolment-code': code });
  await byTestId('enrol').click();
  await byTestId('source').first().waitFor();
}

async function share(): Promise<void> {
  await byTestId('source').first().click();
  await byTestId('start-sharing').click();
  await byTestId('stop-sharing').waitFor();
}

/** Resolves when the relay has pictures on its disk, and not only the event that begins the recording. */
async function firstSliceIsDurable(): Promise<void> {
  await byTestId('recording-path')
    .getByText(/[1-9][\d.]* [kM]B safe/)
    .waitFor({ timeout: RECONNECT_TIMEOUT_MS });
}

/** The newest recording, when it is sealed. */
async function sealedRecording(): Promise<Recording> {
  await expect
    .poll(async () => (await admin.call('recordings')).recordings[0]?.state, { timeout: 20_000 })
    .toBe('sealed');
  return (await admin.call('recordings')).recordings[0]!;
}

/** Looks at the view as people do who see it in the dark, on a narrow window, or with a screen reader. */
async function inspect(name: string): Promise<void> {
  const { page } = app;
  if (!(await page.evaluate(() => 'axe' in globalThis))) await page.evaluate(axe.source);
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    for (const [size, width] of [
      ['wide', 1280],
      ['narrow', 360],
    ] as const) {
      await page.setViewportSize({ width, height: 760 });
      await page.waitForFunction(() =>
        document.getAnimations().every(({ playState }) => playState !== 'running'),
      );
      await page.screenshot({ path: join(SCREENSHOTS, `${name}-${size}-${colorScheme}.png`) });
      const overflowPx = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      expect(overflowPx, `${name}, ${size}: sideways scrolling`).toBeLessThanOrEqual(0);
    }
    // Everything but colours was judged in the light.
    const runOnly = colorScheme === 'dark' ? ['color-contrast'] : null;
    const findings = await page.evaluate(async (rules) => {
      const { violations } = await (Reflect.get(globalThis, 'axe') as typeof axe).run({
        resultTypes: ['violations'],
        ...(rules && { runOnly: rules }),
      });
      return violations
        .filter(({ impact }) => impact === 'serious' || impact === 'critical')
        .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
    }, runOnly);
    expect(findings, `${name}, ${colorScheme}`).toEqual([]);
  }
  await page.setViewportSize({ width: 1120, height: 700 });
}

describe('a new device', () => {
  beforeAll(async () => {
    app = await launch();
  });
  afterAll(() => app.close());

  it('is told what is wrong with an address or a code, next to it', async () => {
    await inspect('set-up');
    await fillForm(app.page, { 'server-url': 'relay.example.com', 'enrolment-code': 'WRONG-CODE' });
    await byTestId('enrol').click();
    await byTestId('server-url').getByText('begins with https://').waitFor();

    await field('server-url').fill(services.relay.url);
    await byTestId('enrol').click();
    await byTestId('enrolment-code').getByText('not valid').waitFor();
    await inspect('set-up-refused');

    await field('server-url').fill('http://127.0.0.1:9');
    await byTestId('enrol').click();
    await byTestId('server-url').getByText('Cannot reach').waitFor();
  });

  it('enrols with a code, and says so when nothing is selected', async () => {
    await enrol();
    await inspect('choose');
    await byTestId('start-sharing').click();
    await expect.poll(() => byTestId('no-source-alert').textContent()).toContain('Nothing is selected');
    await inspect('nothing-selected');
    expect(await byTestId('device-name').textContent()).toContain('Reception desk');
  });

  it('shares on both paths, and everything is on the server after it stops', async () => {
    await share();
    await path('live', 'live');
    await path('recording', 'uploading');
    await app.page.waitForFunction(() => {
      const canvas = document.querySelector<HTMLCanvasElement>('[data-testid="preview"]')!;
      const { data } = canvas.getContext('2d')!.getImageData(0, 0, canvas.width, canvas.height);
      return data.some((value, index) => index % 4 < 3 && value > 0);
    });
    await inspect('sharing');
    await byTestId('stop-sharing').click();
    await path('recording', 'finished');
    await inspect('finished');
    const recording = await sealedRecording();
    expect(recording).toMatchObject({
      deviceName: 'Reception desk',
      sourceName: 'Entire screen',
      failure: null,
    });
    expect(await spooled()).toEqual([]);
  });

  it('starts again with what was chosen last', async () => {
    expect(await app.page.getByRole('radio', { name: 'Entire screen' }).isChecked()).toBe(true);
  });

  it('asks before it closes while it shares, and goes on when told to', async () => {
    await share();
    app.answerDialogs(1);
    app.closeWindow();
    await expect.poll(() => app.dialogs).toEqual(['Your screen is being shared.']);
    await path('recording', 'uploading');
    expect(await byTestId('stop-sharing').isVisible()).toBe(true);
    await firstSliceIsDurable();
  });

  it('stops, uploads the last chunk and ends when it is closed for good', async () => {
    app.answerDialogs(0);
    app.closeWindow();
    expect(await app.exited).toBe(0);
    await sealedRecording();
    expect(await spooled()).toEqual([]);
  });
});

describe('an enrolled device', () => {
  beforeAll(async () => {
    app = await launch();
    await byTestId('source').first().waitFor();
  });
  afterAll(() => app.close());

  it('records while the SFU is away, and is live when it is back', async () => {
    await services.sfu.kill();
    await share();
    await path('recording', 'uploading');
    await path('live', 'reconnecting');
    await inspect('live-reconnecting');
    await services.restartSfu();
    await path('live', 'live');
    await byTestId('stop-sharing').click();
    await path('recording', 'finished');
  });

  it('[I15] is live while the relay is away, and uploads when it is back, into one recording', async () => {
    await share();
    await path('live', 'live');
    await path('recording', 'uploading');
    await services.relay.kill();
    await path('recording', 'reconnecting');
    await path('live', 'live');
    await inspect('recording-reconnecting');
    const before = (await spooled()).length;
    await services.restartRelay();
    await path('recording', 'uploading');
    await byTestId('stop-sharing').click();
    await path('recording', 'finished');
    expect(before).toBe(1);
    expect((await sealedRecording()).failure).toBeNull();
  });

  it('[U3] that was killed while the relay was away resumes the same recording after the next start', async () => {
    await share();
    await firstSliceIsDurable();
    await services.relay.kill();
    await path('recording', 'reconnecting');
    await app.kill();
    expect(await spooled()).toHaveLength(1);

    app = await launch();
    await byTestId('resumable').getByText('Entire screen').waitFor();
    await uploads('waiting').waitFor();
    await inspect('resumable');
    await byTestId('resume-sharing').click();
    await byTestId('stop-sharing').waitFor();
    expect(await spooled()).toHaveLength(1);
    await services.restartRelay();
    await path('recording', 'uploading');
    // The tokens of the run before are gone with it.
    await path('live', 'live');
    await byTestId('stop-sharing').click();
    await path('recording', 'finished');
    expect(await spooled()).toEqual([]);
    expect(await byTestId('uploads').count()).toBe(0);
    expect((await sealedRecording()).failure).toBeNull();
  });

  it('[U3] that was killed finishes the recording when the person declines to go on', async () => {
    await share();
    await firstSliceIsDurable();
    const before = (await admin.call('recordings')).recordings.length;
    await app.kill();
    app = await launch();
    await uploads('interrupted').waitFor();
    await byTestId('decline-resumption').click();
    await uploads('done').waitFor();
    await byTestId('resumable').waitFor({ state: 'detached' });
    await inspect('upload-done');
    expect((await sealedRecording()).failure).toBeNull();
    expect((await admin.call('recordings')).recordings).toHaveLength(before);
    expect(await spooled()).toEqual([]);
  });

  it('[U2] whose page was killed goes on by itself in the same recording, and says so', async () => {
    await share();
    await path('recording', 'uploading');
    await firstSliceIsDurable();
    const before = (await admin.call('recordings')).recordings;
    await app.killRenderer();
    await byTestId('continued').waitFor();
    await byTestId('stop-sharing').waitFor();
    await path('live', 'live');
    await path('recording', 'uploading');
    await inspect('continued');
    expect((await admin.call('recordings')).recordings.map(({ recordingId }) => recordingId)).toEqual(
      before.map(({ recordingId }) => recordingId),
    );
    await byTestId('stop-sharing').click();
    await path('recording', 'finished');
    expect((await sealedRecording()).failure).toBeNull();
  });

  it('[U2] changes its source, and loses and finds it again, in one recording', async () => {
    await share();
    await path('live', 'live');
    await firstSliceIsDurable();
    const before = (await admin.call('recordings')).recordings.length;
    const streamId = () => byTestId('preview').getAttribute('data-stream');
    const firstStreamId = await streamId();
    await byTestId('change-source').click();
    await app.page.getByRole('dialog').getByTestId('source').first().click();
    await inspect('change-source');
    await byTestId('confirm-source').click();
    await app.page.getByRole('dialog').waitFor({ state: 'detached' });
    await expect.poll(streamId, { timeout: 30_000 }).not.toBe(firstStreamId);
    await path('recording', 'uploading');
    await path('live', 'live');

    app.endCapture();
    await byTestId('source-gone').waitFor();
    await path('live', 'idle');
    await inspect('source-gone');
    await byTestId('try-again').click();
    await byTestId('preview').waitFor();
    await path('live', 'live');
    await path('recording', 'uploading');
    await byTestId('stop-sharing').click();
    await path('recording', 'finished');
    expect((await admin.call('recordings')).recordings).toHaveLength(before);
    expect((await sealedRecording()).failure).toBeNull();
  });

  it('[U2] whose recorder fails goes on in another epoch, live all the time', async () => {
    await app.page.evaluate(() => {
      const Real = window.MediaRecorder;
      const recorders: MediaRecorder[] = [];
      window.MediaRecorder = class extends Real {
        constructor(stream: MediaStream, options?: MediaRecorderOptions) {
          super(stream, options);
          recorders.push(this);
        }
      };
      Object.assign(window, { recorders });
    });
    await share();
    await path('live', 'live');
    await firstSliceIsDurable();
    const recorderCount = () =>
      app.page.evaluate(() => (Reflect.get(window, 'recorders') as MediaRecorder[]).length);
    // W3C MediaStream Recording, 2.3: a track that is added to its stream ends a recorder with an error.
    await app.page.evaluate(() => {
      const [recorder] = Reflect.get(window, 'recorders') as MediaRecorder[];
      const [track] = recorder!.stream.getTracks();
      recorder!.stream.addTrack(track!.clone());
    });
    await expect.poll(recorderCount, { timeout: 20_000 }).toBe(2);
    await path('live', 'live');
    await path('recording', 'uploading');
    await byTestId('stop-sharing').click();
    await path('recording', 'finished');
    const { recordingId } = await sealedRecording();
    const { events } = await admin.call('recording', { params: { recordingId } });
    const reasons = events.flatMap((event) => ('reason' in event.data ? [event.data.reason] : []));
    expect(reasons).toEqual(['recorder-failed', 'stopped']);
  });

  it('[I16] flushes its recorder several times a second while somebody watches through the relay', async () => {
    await share();
    await path('recording', 'uploading');
    const [stream] = (await admin.call('streams')).streams.filter(({ state }) => state.kind === 'live');
    const { ticket } = await admin.call('createViewTicket');
    const viewer = new TestViewer(await admin.open('view', { query: { ticket } }));
    viewer.watch(1, stream!.streamId);
    await byTestId('viewers').getByText('1 person is watching').waitFor();
    const { sequence } = await viewer.nextFrame();
    const sinceMs = performance.now();
    await viewer.framesUntil(sequence + 8);
    // Eight slices of two seconds would take sixteen.
    expect(performance.now() - sinceMs).toBeLessThan(8_000);
    viewer.socket.close();
    await byTestId('viewers').getByText('Nobody is watching').waitFor();
    await byTestId('stop-sharing').click();
    await path('recording', 'finished');
  });

  it('[U8] sends a still picture of its screen when somebody asks for one', async () => {
    await share();
    await path('recording', 'uploading');
    const [stream] = (await admin.call('streams')).streams.filter(({ state }) => state.kind === 'live');
    const params = { streamId: stream!.streamId };
    let still = await admin.fetch('streamStill', { params });
    await expect
      .poll(async () => (still = await admin.fetch('streamStill', { params })).status, { timeout: 20_000 })
      .toBe(200);
    expect(still.headers.get('content-type')).toBe('image/jpeg');
    const jpeg = Buffer.from(await still.arrayBuffer());
    expect(jpeg.length).toBeLessThanOrEqual(MAX_STILL_BYTES);
    const size = await app.page.evaluate(async (base64) => {
      const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
      const { width, height } = await createImageBitmap(new Blob([bytes], { type: 'image/jpeg' }));
      return { width, height };
    }, jpeg.toString('base64'));
    expect(size).toEqual({ width: 640, height: 360 });
    await byTestId('stop-sharing').click();
    await path('recording', 'finished');
    expect((await admin.fetch('streamStill', { params })).status).not.toBe(200);
  });

  it('[A8] that is revoked stops sharing, says why, and can be connected anew', async () => {
    await share();
    await path('live', 'live');
    await path('recording', 'uploading');
    const { devices } = await admin.call('devices');
    await admin.call('revokeDevice', { params: { deviceId: devices[0]!.deviceId } });
    await byTestId('start-sharing').waitFor();
    await path('recording', 'failed');
    await byTestId('recording-path').getByText('revoked').waitFor();
    await inspect('revoked');
    await uploads('refused').getByTestId('discard').click();
    await inspect('discard');
    await byTestId('confirm-discard').click();
    await uploads('refused').waitFor({ state: 'detached' });
    expect(await spooled()).toEqual([]);
    await byTestId('device-menu').click();
    await byTestId('forget-enrolment').click();
    await byTestId('confirm-forget').click();
    await byTestId('server-url').waitFor();
    await enrol();
  });
});
