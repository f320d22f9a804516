/** Recordings in every state, as auditors and admins see them, and what they do with them. */
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Id } from '@proofcast/shared';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  connectPublisher,
  publishClip,
  publishRecording,
  type PublishOptions,
} from '../../relay/testing/publish-recording.ts';
import { ShiftedClock } from '../../relay/testing/shifted-clock.ts';
import type { TestClient } from '../../relay/testing/test-client.ts';
import { TestDevice } from '../../relay/testing/test-device.ts';
import type { TestPublisher } from '../../relay/testing/test-publisher.ts';
import { ADMIN, startTestRelay, type TestRelay } from '../../relay/testing/test-relay.ts';
import { loadWebmClip } from '@proofcast/shared/testing/webm-clip';
import { launchViewer } from '../harness/chromium.ts';
import { openRecording, signIn, type Credentials } from '../harness/dashboard-driver.ts';
import { makeGaps } from '../harness/gapped-recording.ts';
import { complaintsOf, look } from '../harness/looks.ts';
import { waitForRecording, waitForSealed } from '../harness/sealed-recording.ts';

const DAY_MS = 86_400_000;
const AUDITOR: Credentials = { email: 'auditor@example.test', password: 'a password for tests' };
const OPS: Credentials = { email: 'ops@example.test', password: 'a password for tests' };

const clock = new ShiftedClock();
let folder: string;
let test: TestRelay;
let admin: TestClient;
let browser: Browser;
let auditorPage: Page;
let complaints: string[];
/** Of the recording with pauses, a change of source and a crash. */
let gappedId: Id;
let live: TestPublisher;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'proofcast-recording-looks-'));
  const ffmpeg = join(folder, 'ffmpeg');
  await writeFile(join(folder, 'ffprobe'), '#!/bin/sh\nexec ffprobe "$@"\n');
  await writeFile(ffmpeg, heldFfmpeg(folder));
  await Promise.all([chmod(ffmpeg, 0o700), chmod(join(folder, 'ffprobe'), 0o700)]);
  test = await startTestRelay({
    clock,
    env: { MIN_FREE_BYTES: '0', RECONNECT_GRACE_MS: '0', FFMPEG_PATH: ffmpeg },
    mediaLimits: { maxDerivativeAttempts: 1 },
  });
  admin = await test.signInAdmin();
  for (const [credentials, role] of [
    [AUDITOR, 'auditor'],
    [OPS, 'ops'],
  ] as const) {
    await admin.call('createUser', { body: { ...credentials, role, name: `The ${role}` } });
  }
  browser = await launchViewer();
  auditorPage = await signIn(browser, test.relay.url, AUDITOR);
  complaints = complaintsOf(auditorPage);
});

afterAll(async () => {
  live?.socket.terminate();
  await browser?.close();
  await test?.close();
  await rm(folder, { recursive: true, force: true });
});

/** An ffmpeg that makes an MP4 only while the file `may-encode` is there, and waits for it while `hold` is. */
function heldFfmpeg(path: string): string {
  const held = `while [ -e '${path}/hold' ]; do sleep 0.05; done; [ -e '${path}/may-encode' ] || exit 1`;
  return `#!/bin/sh\nfor each; do if [ "$each" = libx264 ]; then ${held}; fi; done\nexec ffmpeg "$@"\n`;
}

const enrol = async (name: string): Promise<PublishOptions> => ({
  device: await TestDevice.enrol(admin, name),
  client: admin,
});

async function openPlayer(recordingId: Id): Promise<void> {
  await openRecording(auditorPage, test.relay.url, recordingId);
  await auditorPage.waitForFunction(hasPicture);
}

function hasPicture(): boolean {
  const video = document.querySelector<HTMLVideoElement>('[data-testid="recording-video"]');
  return (video?.readyState ?? 0) >= 2;
}

/** Moves the pointer to this share of the time line, and resolves when it shows what it should there. */
async function hoverTimeline(page: Page, share: number, shown: string): Promise<void> {
  const timeline = page.getByTestId('timeline');
  await timeline.scrollIntoViewIfNeeded();
  // From elsewhere, because only a pointer that moves says where it is.
  await page.mouse.move(0, 0);
  const box = await timeline.boundingBox();
  await timeline.hover({ position: { x: (box?.width ?? 0) * share, y: 15 } });
  await page.getByTestId('timeline-hint').locator(shown).waitFor();
}

describe('a recording that is not sealed looks right, and is played', () => {
  it('while it is being made: it stays as it was opened, until the newest is asked for', async () => {
    live = await publishClip(await enrol('Trading desk 4'));
    await openPlayer(live.maker.start.recordingId);
    const video = auditorPage.getByTestId('recording-video');
    const opened = await video.getAttribute('src');
    expect(opened).toMatch(/\?chunks=\d+&part=0$/);

    const { slices } = loadWebmClip('vp8');
    const [first] = live.maker.chunks;
    const from = live.maker.chunks.length;
    live.maker.epoch({ startedAtUs: (first?.captureTimeUs ?? 0) + 20_000_000 });
    for (const slice of slices) live.maker.media(slice);
    live.upload(from);
    await live.untilDurable();
    await auditorPage.getByTestId('show-newest').waitFor();
    expect(await video.getAttribute('src')).toBe(opened);
    await look(auditorPage, 'recording-live');

    await auditorPage.getByTestId('show-newest').click();
    await auditorPage.waitForFunction(
      (before) =>
        document.querySelector<HTMLVideoElement>('[data-testid="recording-video"]')?.getAttribute('src') !==
        before,
      opened,
    );
    await auditorPage.waitForFunction(hasPicture);
    expect(await auditorPage.getByTestId('gap').count()).toBe(1);
    expect(complaints).toEqual([]);
  });

  it('while it waits for a device that has not come back', async () => {
    const publisher = await publishClip(await enrol('Exam room 2'));
    const { recordingId } = publisher.maker.start;
    publisher.socket.terminate();
    await waitForRecording(admin, recordingId, ({ state }) => state === 'provisional');
    await openPlayer(recordingId);
    await auditorPage.locator('[data-testid="recording-state"][data-state="provisional"]').waitFor();
    await look(auditorPage, 'recording-provisional');
    expect(complaints).toEqual([]);
  });

  it('while its file cannot be made', async () => {
    const options = await enrol('Desk 7');
    const place = join(test.dataDir, 'recordings', test.companyId);
    await mkdir(place, { recursive: true });
    const obstacle = join(place, options.device.deviceId);
    await writeFile(obstacle, 'in the place of a folder');
    const recordingId = await publishRecording(options);
    await waitForRecording(admin, recordingId, ({ failure }) => failure !== null);
    await openPlayer(recordingId);
    await auditorPage.locator('[data-testid="recording-state"][data-state="sealing"]').waitFor();
    await look(auditorPage, 'recording-not-sealed');
    await rm(obstacle);
    expect(complaints).toEqual([]);
  });

  it('when it cannot be played, because there is nothing in it', async () => {
    const publisher = await connectPublisher(await enrol('Desk 9'));
    publisher.maker.epoch();
    publisher.upload();
    await publisher.stop();
    const { recordingId } = publisher.maker.start;
    await waitForRecording(admin, recordingId, ({ state }) => state === 'failed');
    await openRecording(auditorPage, test.relay.url, recordingId);
    await auditorPage.getByTestId('recording-pending').waitFor();
    await look(auditorPage, 'recording-failed');
    expect(complaints).toEqual([]);
  });
});

describe('a sealed recording with several files and gaps', () => {
  it('shows its gaps, events and small pictures on one time line', async () => {
    const publisher = await connectPublisher(await enrol('Support desk 1'));
    makeGaps(publisher.maker);
    publisher.upload();
    await publisher.stop();
    gappedId = publisher.maker.start.recordingId;
    await waitForSealed(admin, gappedId);
    const made = ['sprite', 'joined'];
    await waitForRecording(admin, gappedId, ({ derivatives }) =>
      made.every((kind) => derivatives.some((one) => one.kind === kind && one.state === 'done')),
    );
    await openPlayer(gappedId);
    const gaps = auditorPage.getByTestId('gap');
    expect(await gaps.evaluateAll((rows) => rows.map((row) => row.dataset['reason']))).toEqual([
      'paused',
      'source-changed',
      'publisher-crashed',
    ]);
    expect(await auditorPage.getByTestId('timeline-gap').count()).toBe(3);
    await look(auditorPage, 'recording-gaps', {
      prepare: () => hoverTimeline(auditorPage, 0.45, 'img'),
    });
    await look(auditorPage, 'recording-gap-hint', {
      prepare: () => hoverTimeline(auditorPage, 0.3, 'text=No picture for 34 s: Paused'),
    });
    expect(complaints).toEqual([]);
  });

  it('says in a gap that the picture is not of this moment, and why', async () => {
    await auditorPage.getByTestId('gap').first().focus();
    await auditorPage.keyboard.press('Enter');
    const notice = auditorPage.getByTestId('gap-notice');
    await notice.waitFor();
    expect(await notice.textContent()).toContain('Paused');
    await auditorPage.getByTestId('timeline').scrollIntoViewIfNeeded();
    await look(auditorPage, 'recording-in-gap');
  });

  it('is played from its first picture to its last: over gaps, and from file to file', async () => {
    const page = auditorPage;
    await page.getByTestId('timeline').focus();
    await page.keyboard.press('Home');
    await page.waitForFunction(hasPicture);
    await page.getByTestId('rate').click();
    await page.getByTestId('rate-4').click();
    const startedMs = Date.now();
    await page.getByTestId('play').click();
    await page.locator('[data-testid="gap-notice"]', { hasText: 'Skipped' }).waitFor();
    await page.locator('[data-testid="recording-video"][data-part="1"]').waitFor();
    await page.waitForFunction(
      () => document.querySelector<HTMLVideoElement>('[data-testid="recording-video"]')?.ended === true,
    );
    // Four clips of less than six seconds, at four times their pace, in a recording of more than ninety.
    expect(Date.now() - startedMs).toBeLessThan(20_000);
    expect(await page.getByTestId('position').textContent()).toMatch(/1:3\d\s*\/\s*1:3\d/);
    expect(await page.getByTestId('file-time').textContent()).toContain('File 2 of 2');
    expect(complaints).toEqual([]);
  });

  it('is also played as one copy, which says what it is', async () => {
    await auditorPage.getByTestId('convenience-copy').click();
    await auditorPage.locator('[data-testid="recording-video"][data-part="joined"]').waitFor();
    await auditorPage.waitForFunction(hasPicture);
    await look(auditorPage, 'recording-copy');
    await auditorPage.getByTestId('convenience-copy').click();
    expect(complaints).toEqual([]);
  });

  it('is exported as an MP4: with its progress, with why it failed, and again', async () => {
    const row = auditorPage.getByTestId('derivative-mp4');
    const inState = (state: string) =>
      auditorPage.locator(`[data-testid="derivative-mp4"][data-state="${state}"]`);
    await writeFile(join(folder, 'hold'), '');
    await row.getByTestId('make').click();
    await inState('running').waitFor();
    await row.scrollIntoViewIfNeeded();
    const intoView = { prepare: () => row.scrollIntoViewIfNeeded() };
    await look(auditorPage, 'export-running', intoView);
    await rm(join(folder, 'hold'));
    await inState('failed').waitFor();
    await look(auditorPage, 'export-failed', intoView);
    await writeFile(join(folder, 'may-encode'), '');
    await row.getByTestId('make').click();
    await inState('done').waitFor();
    await look(auditorPage, 'export-done', intoView);

    const download = async (click: () => Promise<void>): Promise<string> => {
      const [file] = await Promise.all([auditorPage.waitForEvent('download'), click()]);
      return file.suggestedFilename();
    };
    const { recordingId, time } = { recordingId: gappedId, time: /^proofcast-\d{8}T\d{6}Z-/ };
    const mp4 = await download(() => row.getByRole('link').click());
    expect(mp4).toMatch(time);
    expect(mp4).toContain(`${recordingId}.mp4`);
    const originals = auditorPage.getByTestId('download-original');
    expect(await originals.count()).toBe(2);
    expect(await download(() => originals.nth(1).click())).toContain(`${recordingId}.2.webm`);
    const manifest = auditorPage.getByTestId('download-manifest');
    expect(await download(() => manifest.click())).toContain(`${recordingId}.manifest.json`);
    expect(complaints).toEqual([]);
  });

  it('is listed with its gaps, beside those in every other state', async () => {
    await auditorPage.getByTestId('nav-recordings').click();
    const row = auditorPage.locator(`[data-testid="recording"][data-recording-id="${gappedId}"]`);
    await row.waitFor();
    expect(await row.getByTestId('gap-count').textContent()).toContain('3 gaps');
    await look(auditorPage, 'recordings-all-states');
    expect(complaints).toEqual([]);
  });

  it('is found again in a filtered list without giving up the screen that was chosen', async () => {
    const { streamId } = await admin.call('recording', { params: { recordingId: gappedId } });
    await auditorPage.goto(new URL(`/recordings?streamId=${streamId}`, test.relay.url).href);
    const rows = auditorPage.getByTestId('recording');
    await rows.first().waitFor();
    await auditorPage.getByRole('searchbox').fill('nothing is called so');
    await auditorPage.getByRole('button', { name: 'Show all', exact: true }).click();
    await rows.first().waitFor();
    expect(await rows.count()).toBe(1);
    const { searchParams } = new URL(auditorPage.url());
    expect([...searchParams]).toEqual([['streamId', streamId]]);
  });
});

describe('keeping and deleting', () => {
  it('an admin sees what a policy would delete before it is saved', async () => {
    clock.shift(40 * DAY_MS);
    admin = await test.signInAdmin();
    const page = await signIn(browser, test.relay.url, ADMIN);
    await page.getByTestId('nav-recordings').click();
    await page.getByTestId('tab-retention').click();
    await page.getByTestId('retention-never').waitFor();
    await look(page, 'retention');

    await page.getByTestId('retention-delete').locator('input').check();
    await page.getByTestId('retention-delete-days').locator('input').fill('5');
    await page.getByTestId('retention-keep-days').locator('input').fill('30');
    await page.getByTestId('retention-fault').waitFor();
    expect(await page.getByTestId('retention-preview').isDisabled()).toBe(true);
    await look(page, 'retention-fault');

    await page.getByTestId('retention-delete-days').locator('input').fill('35');
    expect(await page.getByTestId('retention-save').isDisabled()).toBe(true);
    await page.getByTestId('retention-preview').click();
    await page.getByTestId('retention-result').waitFor();
    expect(await page.getByTestId('retention-result').textContent()).toContain('Support desk 1');
    await look(page, 'retention-preview');
    await page.getByTestId('retention-save').click();
    await page.getByRole('button', { name: 'Save and delete' }).waitFor();
    await look(page, 'retention-confirm');
    await page.getByRole('button', { name: 'Save and delete' }).click();
    await page.getByTestId('retention-saved').waitFor();
    expect(await admin.call('retentionPolicy')).toEqual({ deleteAfterDays: 35, keepAtLeastDays: 30 });
    await page.context().close();
  });

  it('a recording that the policy keeps is not deleted, and the admin hears until when', async () => {
    const recordingId = await publishRecording({ ...(await enrol('Desk 11')), nowMs: clock.nowMs() });
    await waitForSealed(admin, recordingId);
    const page = await signIn(browser, test.relay.url, ADMIN);
    await openRecording(page, test.relay.url, recordingId);
    await page.getByTestId('delete-recording').click();
    await page.getByRole('button', { name: 'Delete for good' }).click();
    await page.getByText('keeps it until').waitFor();
    await look(page, 'deletion-refused');
    expect((await admin.call('recording', { params: { recordingId } })).state).toBe('sealed');
    await page.context().close();
  });

  it('one that is old enough is deleted, and admins and auditors see what is kept of it', async () => {
    const page = await signIn(browser, test.relay.url, ADMIN);
    await openRecording(page, test.relay.url, gappedId);
    await page.getByTestId('delete-recording').click();
    await page.getByRole('button', { name: 'Delete for good' }).click();
    const tombstone = page.locator(`[data-testid="tombstone"][data-recording-id="${gappedId}"]`);
    await tombstone.waitFor();
    await tombstone.locator('summary').click();
    await look(page, 'deleted-recordings');
    await page.context().close();

    const auditor = await signIn(browser, test.relay.url, AUDITOR);
    await openRecording(auditor, test.relay.url, gappedId);
    await auditor.getByText('does not exist').first().waitFor();
    await auditor.getByTestId('nav-recordings').click();
    expect(await auditor.getByTestId('tab-retention').count()).toBe(0);
    await auditor.getByTestId('tab-deleted-recordings').click();
    await auditor.locator(`[data-testid="tombstone"][data-recording-id="${gappedId}"]`).waitFor();
    await auditor.context().close();
  });

  it('somebody of ops sees none of it', async () => {
    const page = await signIn(browser, test.relay.url, OPS);
    expect(await page.getByTestId('nav-recordings').count()).toBe(0);
    for (const path of ['recordings', 'recordings/deleted', 'recordings/retention']) {
      await page.goto(new URL(path, test.relay.url).href);
      await page.getByTestId('forbidden').waitFor();
    }
    await page.context().close();
  });
});
