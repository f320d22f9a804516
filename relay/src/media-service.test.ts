import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { DevicePrincipal, UserPrincipal } from '@proofcast/shared';
import { loadWebmClip } from '@proofcast/shared/testing/webm-clip';
import { freshSeed, seededRandom } from '@proofcast/shared/testing/random';
import { afterEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { HeldTimers } from '../testing/held-timers.ts';
import { MediaWorld, type MediaWorldOptions } from '../testing/media-world.ts';
import { TestPublisher } from '../testing/test-publisher.ts';

const CLIP = loadWebmClip('vp8');
const GRACE_MS = 54_321;

describe('the media service', () => {
  let world: MediaWorld;
  const children: ChildProcess[] = [];
  const folders: string[] = [];

  afterEach(async () => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
    await world.close();
    for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
  });

  async function openWorld(options: MediaWorldOptions = {}): Promise<DevicePrincipal> {
    world = await MediaWorld.open({ graceMs: GRACE_MS, ...options });
    return world.device();
  }

  /** A publisher with all of the clip, of which so many chunks are durable. */
  async function publish(device: DevicePrincipal, count: number): Promise<TestPublisher> {
    const publisher = await world.publisher(device);
    const { maker } = publisher;
    maker.epoch({ sourceName: 'The screen' });
    for (let at = 0; at < CLIP.bytes.length; at += 4_000) maker.media(CLIP.bytes.subarray(at, at + 4_000));
    await publisher.hello();
    for (let n = 0; n < count; n++) publisher.sendFrame(maker.frame(n));
    await publisher.untilDurable(count);
    return publisher;
  }

  const recordings = ({ companyId }: DevicePrincipal) => world.media.listRecordings(companyId, {});
  const journals = (): Promise<string[]> => readdir(join(world.dataDir, 'journals'));

  test('[J8] waits after a restart for the publisher, who goes on in the same recording, or stops it', async () => {
    const timers = new HeldTimers(GRACE_MS);
    const device = await openWorld({ clock: timers });
    const publisher = await publish(device, 8);
    const viewer = await world.viewer(device.companyId);
    await world.shutDown();
    expect(await publisher.closed).toMatchObject({
      code: 4503,
      reason: expect.stringMatching(/^SHUTTING_DOWN/),
    });
    expect(await viewer.closed).toMatchObject({ code: 4503 });

    await world.restart();
    const [stream] = await world.media.listStreams(device.companyId);
    expect(stream).toMatchObject({
      state: { kind: 'reconnecting' },
      recordingId: publisher.maker.start.recordingId,
      sourceName: 'The screen',
    });
    expect(await recordings(device)).toMatchObject([{ state: 'reconnecting' }]);
    const watching = await world.viewer(device.companyId);
    watching.watch(1, device.streamId);
    expect((await watching.framesUntil(7))[0]?.kind).toBe('init');

    const again = await world.publisher(device, publisher.maker);
    expect(await again.hello()).toMatchObject({ nextSequence: 8, epoch: 0, viewerCount: 1 });
    again.upload(8);
    expect((await watching.framesUntil(8)).at(-1)).toMatchObject({ sequence: 8, isDiscontinuity: false });
    await again.untilDurable();
    await world.restart();
    const last = await world.publisher(device, publisher.maker);
    expect(await last.hello()).toMatchObject({ nextSequence: publisher.maker.chunks.length });
    await last.stop();
    await world.media.whenSealed();
    expect(await recordings(device)).toMatchObject([{ state: 'sealed' }]);
  });

  test('[I13] gives up after a restart what nobody comes back for', async () => {
    const timers = new HeldTimers(GRACE_MS);
    const device = await openWorld({ clock: timers });
    await publish(device, 22);
    await world.restart();
    const viewer = await world.viewer(device.companyId);
    await viewer.next('streams');
    expect(timers.size).toBe(1);
    timers.pass();
    await viewer.untilState(device.streamId, 'offline');
    await world.media.whenSealed();
    expect(await recordings(device)).toMatchObject([{ state: 'provisional', isComplete: false }]);
    await world.restart();
    const [stream] = await world.media.listStreams(device.companyId);
    expect(stream?.state).toMatchObject({ kind: 'offline', sinceMs: expect.any(Number) });
  });

  test('[J11] makes a recording again whose row is missing, from its journal', async () => {
    const device = await openWorld();
    const publisher = await publish(device, 8);
    await world.shutDown();
    await world.database.deleteFrom('recordings').execute();
    await world.restart();
    const { recordingId, startedAtUs } = publisher.maker.start;
    expect(await recordings(device)).toMatchObject([
      { recordingId, state: 'reconnecting', startedAtMs: Math.floor(startedAtUs / 1000) },
    ]);
    const again = await world.publisher(device, publisher.maker);
    expect(await again.hello()).toMatchObject({ nextSequence: 8 });
  });

  test('[J11] keeps a journal whose stream nobody knows, and goes on with the others', async () => {
    const device = await openWorld();
    const lost = await publish(device, 3);
    const kept = await publish(await world.device(device.companyId, 'Desk 2'), 3);
    await world.shutDown();
    await world.database.deleteFrom('recordings').execute();
    await world.database.deleteFrom('streams').where('stream_id', '=', device.streamId).execute();
    await world.restart();
    expect((await recordings(device)).map(({ recordingId }) => recordingId)).toEqual([
      kept.maker.start.recordingId,
    ]);
    expect(await journals()).toContain(`${lost.maker.start.recordingId}.journal`);
  });

  test('[J17] says that a recording failed whose journal has disappeared', async () => {
    const device = await openWorld();
    await publish(device, 3);
    await world.shutDown();
    for (const name of await journals()) await rm(join(world.dataDir, 'journals', name));
    await world.restart();
    expect(await recordings(device)).toMatchObject([
      {
        state: 'failed',
        failure: { code: 'STORAGE_FAILED', message: 'The journal of the recording is missing.' },
      },
    ]);
  });

  test('seals after a restart what a device recorded that was revoked meanwhile', async () => {
    const device = await openWorld();
    await publish(device, 22);
    await world.shutDown();
    await world.database.updateTable('devices').set({ revoked_at_ms: 1 }).execute();
    await world.restart();
    await world.media.whenSealed();
    expect(await recordings(device)).toMatchObject([{ state: 'sealed' }]);
  });

  test('tells who comes while it shuts down, and may be closed twice', async () => {
    const device = await openWorld();
    await publish(device, 3);
    const [first, second] = [world.media.close(), world.media.close()];
    expect(world.media.isReady()).toEqual(['The relay is shutting down; connect again.']);
    const late = await world.publisher(device);
    expect(await late.closed).toMatchObject({ code: 4503, reason: expect.stringMatching(/^SHUTTING_DOWN/) });
    expect(await (await world.viewer(device.companyId)).closed).toMatchObject({ code: 4503 });
    await Promise.all([first, second]);
  });

  test('[J13] loses no acknowledged chunk to kill −9, however often, and makes one recording of it', async () => {
    const seed = freshSeed();
    const random = seededRandom(seed);
    const dataDir = await mkdtemp(join(tmpdir(), 'proofcast-kill-'));
    folders.push(dataDir);
    // Makes the rows, then leaves the data to the processes.
    world = await MediaWorld.open({ dataDir });
    const device = await world.device();
    const viewer: UserPrincipal = {
      kind: 'user',
      userId: 'usr_00000000000000000000',
      companyId: device.companyId,
      role: 'viewer',
    };
    const maker = world.maker(device);
    await world.close();
    maker.epoch();
    for (let at = 0; at < CLIP.bytes.length; at += 700) maker.media(CLIP.bytes.subarray(at, at + 700));

    let durable = 0;
    for (let round = 1; round <= 4; round++) {
      const { child, urls } = await startProcess(dataDir, [device, viewer]);
      const publisher = new TestPublisher(new WebSocket(urls[0] ?? ''), maker);
      await once(publisher.socket, 'open');
      const { nextSequence } = await publisher.hello();
      expect(nextSequence, `seed ${seed}, round ${round}`).toBeGreaterThanOrEqual(durable);
      publisher.upload(nextSequence);
      const until = Math.min(maker.chunks.length, nextSequence + random.integer(1, 30));
      await publisher.untilDurable(until);
      child.kill('SIGKILL');
      await publisher.closed;
      for (const message of publisher.unread) {
        if ('type' in message && message.type === 'ack') durable = Math.max(durable, message.data.durable);
      }
      durable = Math.max(durable, until);
    }

    world = await MediaWorld.open({ dataDir });
    const last = await world.publisher(device, maker);
    const { nextSequence } = await last.hello();
    expect(nextSequence, `seed ${seed}`).toBeGreaterThanOrEqual(durable);
    last.upload(nextSequence);
    await last.stop();
    await world.media.whenSealed();
    const all = await recordings(device);
    expect(all).toMatchObject([{ state: 'sealed', recordingId: maker.start.recordingId }]);
    const row = await world.database.selectFrom('recordings').selectAll().executeTakeFirstOrThrow();
    expect(row.chunk_count).toBe(maker.chunks.length);
  });

  async function startProcess(
    dataDir: string,
    principals: (DevicePrincipal | UserPrincipal)[],
  ): Promise<{ child: ChildProcess; urls: string[] }> {
    const script = join(import.meta.dirname, '../testing/media-process.ts');
    const child = spawn(process.execPath, [script, dataDir, JSON.stringify(principals)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.push(child);
    const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
    return { child, urls: JSON.parse(line) as string[] };
  }
});
