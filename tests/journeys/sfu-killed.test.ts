/**
 * kill −9 of what carries the live picture, with eight people watching one really captured screen: first of the media
 * worker, then of the whole SFU. Nobody touches anything.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Id } from '@proofcast/shared';
import { isProcessAlive, killProcess } from '@proofcast/shared/testing/processes';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  PLAYER_LIMITS,
  SFU_REJOIN_AFTER_MS,
  WEBRTC_DISCONNECT_GRACE_MS,
} from '../../dashboard/src/config.ts';
import { PATH_NAMES, type PathName } from '../../dashboard/src/player/video-path.ts';
import { SFU as DESKTOP_SFU } from '../../desktop/src/renderer/config.ts';
import { TestClient } from '../../relay/testing/test-client.ts';
import { median } from '../bench/benchmark.ts';
import { AttributeDiary, type AttributeEntry } from '../harness/attribute-diary.ts';
import { launchViewer } from '../harness/chromium.ts';
import { signIn } from '../harness/dashboard-driver.ts';
import { DesktopDriver } from '../harness/desktop-driver.ts';
import { startServices, type Services } from '../harness/services.ts';
import { StampDiary } from '../harness/stamp-diary.ts';
import type { SeenStamp } from '../harness/stamp-readers.ts';
import { openStampedScreen, type StampedScreen } from '../harness/stamped-screen.ts';

const VIEWERS = 8;
/** Eight decoders share the machine with everything else: a small screen, few pictures a second, the small layer. */
const SCREEN = { size: { width: 640, height: 360 }, stampsPerSecond: 10 };
const VIEWPORT = { width: 480, height: 400 };
/** Eight browser windows on a machine that may be busy. */
const TIMEOUT_MS = 150_000;
/** Publisher and page find the SFU again within their own waits; the picture has to move for some seconds then. */
const RETURN_MS = 20_000;
const POLL = { timeout: TIMEOUT_MS, interval: 200 };
/** After this a connection of the publisher and a picture of a viewer are good ones, for which a worker is replaced at once. */
const PROVEN_MS = Math.max(DESKTOP_SFU.stableAfterMs, SFU_REJOIN_AFTER_MS) + 500;
/** A picture that has moved for so long after its return has outlived what would have been its first fall. */
const WATCHED_MS = WEBRTC_DISCONNECT_GRACE_MS + 1_000;

type TileEntry = AttributeEntry<'data-picture' | 'data-path'>;

/** What one of them has seen. */
interface Seen {
  readonly entries: readonly TileEntry[];
  readonly stamps: readonly SeenStamp[];
}

let folder: string;
let services: Services;
let screen: StampedScreen;
let desktop: DesktopDriver;
let browser: Browser;
let admin: TestClient;
let streamId: Id;
let tiles: AttributeDiary<'data-picture' | 'data-path'>[];
let stamps: StampDiary[];
let live: AttributeDiary<'data-state'>;
let recording: AttributeDiary<'data-state'>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'proofcast-sfu-killed-'));
  [services, screen] = await Promise.all([startServices(), openStampedScreen(SCREEN)]);
  admin = new TestClient(services.relay.url);
  await admin.call('signIn', { body: services.admin });
  const { code } = await admin.call('createEnrolmentCode', { body: { deviceName: 'Desk 12' } });
  desktop = await DesktopDriver.launch({ display: screen.display, userDataDir: join(folder, 'desktop') });
  await desktop.enrol(services.relay.url, code);
  await desktop.shareScreen();
  streamId = (await admin.call('streams')).streams[0]!.streamId;
  [live, recording] = await Promise.all([
    AttributeDiary.open(desktop.app.page.getByTestId('live-path'), ['data-state']),
    AttributeDiary.open(desktop.app.page.getByTestId('recording-path'), ['data-state']),
  ]);
  browser = await launchViewer();
  await openViewers();
});

afterAll(async () => {
  await browser?.close();
  await desktop?.close();
  await Promise.all([screen?.close(), services?.close()]);
  await rm(folder, { recursive: true, force: true });
});

/** In windows of their own, so that all of them are in sight. */
async function openViewers(): Promise<void> {
  const first = await signIn(browser, services.relay.url, services.admin);
  const storageState = await first.context().storageState();
  await first.context().close();
  const opened = await Promise.all(
    Array.from({ length: VIEWERS }, async () => {
      const context = await browser.newContext({ storageState, viewport: VIEWPORT });
      const page = await context.newPage();
      await page.goto(new URL('/live', services.relay.url).href, { timeout: TIMEOUT_MS });
      const tile = page.getByTestId(`tile-${streamId}`);
      await tile.waitFor({ timeout: TIMEOUT_MS });
      return [
        await AttributeDiary.open(tile, ['data-picture', 'data-path']),
        await StampDiary.open(tile),
      ] as const;
    }),
  );
  tiles = opened.map(([tile]) => tile);
  stamps = opened.map(([, stamp]) => stamp);
}

function readAll(): Promise<Seen[]> {
  return Promise.all(
    tiles.map(async (tile, index) => ({
      entries: await tile.read(),
      stamps: await stamps[index]!.read(),
    })),
  );
}

const pathOf = ({ values }: TileEntry): string => values['data-path'];

/** What it was at that moment, and all that came after it. */
const entriesSince = <E extends { readonly atMs: number }>(entries: readonly E[], fromMs: number): E[] =>
  entries.slice(
    Math.max(
      0,
      entries.findLastIndex(({ atMs }) => atMs <= fromMs),
    ),
  );

/** Those of what was drawn after that moment. */
const stampsSince = ({ stamps: all }: Seen, fromMs: number): SeenStamp[] =>
  all.filter(({ stampMs }) => stampMs > fromMs);

/** Resolves with what they have seen as soon as all of them are as wanted; else says what the others have had. */
async function untilAll(isWanted: (seen: Seen) => boolean): Promise<Seen[]> {
  let all: Seen[] = [];
  await expect
    .poll(async () => {
      all = await readAll();
      return all.filter((seen) => !isWanted(seen)).map(describeSeen);
    }, POLL)
    .toEqual([]);
  return all;
}

function describeSeen({ entries, stamps: all }: Seen): string {
  const nowMs = Date.now();
  const paths = entries.map((entry) => `${pathOf(entry)} ${nowMs - entry.atMs} ms ago`);
  return `${paths.join(', ')}; newest picture drawn ${nowMs - (all.at(-1)?.stampMs ?? 0)} ms ago`;
}

/** Everybody has had the same path for so long, and sees what was drawn at the end of that time. */
const untilAllOn = (path: PathName, forMs: number): Promise<Seen[]> =>
  untilAll((seen) => {
    const entry = seen.entries.at(-1)!;
    return pathOf(entry) === path && stampsSince(seen, entry.atMs + forMs).length > 0;
  });

/** How often the path has become a worse one, or none. */
function descents(entries: readonly TileEntry[]): number {
  const ranks = entries.map((entry) => {
    const rank = PATH_NAMES.findIndex((name) => name === pathOf(entry));
    return rank < 0 ? PATH_NAMES.length : rank;
  });
  return ranks.filter((rank, index) => rank > (ranks[index - 1] ?? rank)).length;
}

/** The longest time without any path to a picture. */
function longestWithoutMs(entries: readonly TileEntry[]): number {
  const without = entries.map((entry, index) =>
    pathOf(entry) === 'none' ? (entries[index + 1]?.atMs ?? Date.now()) - entry.atMs : 0,
  );
  return Math.max(...without);
}

const summary = (valuesMs: readonly number[]): string =>
  `median ${median(valuesMs).toFixed(0)} ms, the last of ${valuesMs.length} ${Math.max(...valuesMs)} ms`;

const statesSince = async (diary: AttributeDiary<'data-state'>, fromMs: number): Promise<string[]> =>
  entriesSince(await diary.read(), fromMs).map(({ values }) => values['data-state']);

describe('eight people who watch a screen', () => {
  it('[S8] [S17] see it move again after kill −9 of the media worker', async ({ annotate }) => {
    await untilAllOn('webrtc', PROVEN_MS);
    const { workerPid, viewers } = (await services.sfuStatistics()).streams[0]!;
    expect(viewers).toHaveLength(VIEWERS);

    const killedMs = Date.now();
    killProcess(workerPid);
    const moving = await untilAll((seen) => stampsSince(seen, killedMs).length > 0);
    const recoveryMs = moving.map((seen) => stampsSince(seen, killedMs)[0]!.seenAtMs - killedMs);
    await annotate(`worker killed: what was drawn later is seen after ${summary(recoveryMs)}`);
    expect(Math.max(...recoveryMs)).toBeLessThan(PLAYER_LIMITS.noPictureMs);

    const back = await untilAllOn('webrtc', 0);
    const paths = back.map(({ entries }) => entriesSince(entries, killedMs));
    await annotate(
      `worker killed: ${paths.filter((entries) => descents(entries) === 0).length} never left WebRTC`,
    );
    // On a busy machine some may have needed the relay for a moment, and none of them twice.
    expect(Math.max(...paths.map(descents))).toBeLessThanOrEqual(1);
    const [stream] = (await services.sfuStatistics()).streams;
    expect(stream?.workerPid).not.toBe(workerPid);
    expect(stream?.viewers).toHaveLength(VIEWERS);
    expect(await statesSince(live, killedMs)).toEqual(['live', 'reconnecting', 'live']);
    expect(await statesSince(recording, killedMs)).toEqual(['uploading']);
  });

  let killedMs: number;

  it('[T3] [T4] go on through the relay after kill −9 of the whole SFU, none of them without a picture for long', async ({
    annotate,
  }) => {
    await untilAllOn('webrtc', PROVEN_MS);
    const { workers } = await services.sfuStatistics();
    killedMs = Date.now();
    await services.sfu.kill();
    const all = await untilAllOn('relay', 0);
    const relayMs = all.map(
      ({ entries }) =>
        entries.find((entry) => entry.atMs > killedMs && pathOf(entry) === 'relay')!.atMs - killedMs,
    );
    const recoveryMs = all.map((seen) => stampsSince(seen, killedMs)[0]!.seenAtMs - killedMs);
    await annotate(`SFU killed: a picture by the relay after ${summary(relayMs)}`);
    await annotate(`SFU killed: what was drawn later is seen after ${summary(recoveryMs)}`);
    const withoutMs = all.map(({ entries }) => longestWithoutMs(entriesSince(entries, killedMs)));
    expect(Math.max(...withoutMs)).toBeLessThan(PLAYER_LIMITS.noPictureMs);
    for (const { pid } of workers) await expect.poll(() => isProcessAlive(pid), POLL).toBe(false);
  });

  it('[T2] [T10] come back to WebRTC by themselves when the SFU is there again, once and for all', async ({
    annotate,
  }) => {
    await services.restartSfu();
    const startedMs = Date.now();
    const all = await untilAllOn('webrtc', WATCHED_MS);
    const backMs = all.map(({ entries }) => entries.at(-1)!.atMs - startedMs);
    await annotate(`SFU back: by WebRTC again after ${summary(backMs)}`);
    // Nobody has waited for the half a minute that attempts without a reason are apart.
    expect(Math.max(...backMs)).toBeLessThan(RETURN_MS);

    for (const { entries } of all) {
      const paths = entriesSince(entries, killedMs);
      expect(descents(paths), paths.map(pathOf).join()).toBe(1);
      // From the relay's picture to that of WebRTC without anything in between.
      expect(paths.slice(-2).map(pathOf)).toEqual(['relay', 'webrtc']);
      expect(paths.map(({ values }) => values['data-picture'])).not.toContain('no-picture');
    }
    const [stream] = (await services.sfuStatistics()).streams;
    expect(stream?.viewers.map(({ isPaused }) => isPaused)).toEqual(Array(VIEWERS).fill(false));
    // The paths that were needed meanwhile are closed.
    await expect.poll(async () => (await admin.call('streams')).streams[0]?.viewerCount, POLL).toBe(0);
  });

  it('are the only ones who noticed: the recording is one, without a gap', async () => {
    expect(await statesSince(live, killedMs)).toEqual(['live', 'reconnecting', 'live']);
    expect(await statesSince(recording, killedMs)).toEqual(['uploading']);
    const { recordings } = await admin.call('recordings');
    expect(recordings).toHaveLength(1);
    const { recordingId } = recordings[0]!;
    expect((await admin.call('recording', { params: { recordingId } })).gaps).toEqual([]);
  });
});
