import { createId, SFU_PATH, type Id } from '@proofcast/shared';
import { killProcess } from '@proofcast/shared/testing/processes';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { launchBrowser, type RemotePage, type TestBrowser } from '../testing/browser.ts';
import type { PublishOptions } from '../testing/page/api.ts';
import { runSfu, type RunningSfu } from '../testing/running-sfu.ts';

let browser: TestBrowser;
let running: RunningSfu;
let streamId: Id;
let deviceId: Id;
const pages: RemotePage[] = [];

beforeAll(async () => {
  browser = await launchBrowser();
});
afterAll(() => browser.close());

beforeEach(async () => {
  running = await runSfu();
  streamId = createId('stream');
  deviceId = createId('device');
});
afterEach(async () => {
  await Promise.all(pages.splice(0).map((page) => page.close()));
  await running.stop();
});

async function openPage(): Promise<RemotePage> {
  const page = await browser.open();
  pages.push(page);
  return page;
}

function url(): string {
  return running.sfu.url.replace('http', 'ws') + SFU_PATH;
}

async function publishOptions(overrides: Partial<PublishOptions> = {}): Promise<PublishOptions> {
  const token = await running.issuer.publisher(overrides.streamId ?? streamId, { deviceId });
  return {
    url: url(),
    token,
    streamId,
    layers: 'none',
    colour: 'green',
    withSound: false,
    ...overrides,
  };
}

async function publish(overrides: Partial<PublishOptions> = {}): Promise<RemotePage> {
  const page = await openPage();
  await page.publish(await publishOptions(overrides));
  return page;
}

async function view(options: { protocol?: 'udp' | 'tcp'; id?: Id } = {}): Promise<RemotePage> {
  const page = await openPage();
  const { protocol = 'udp', id = streamId } = options;
  await page.view({ url: url(), token: await running.issuer.viewer(), streamId: id, protocol });
  return page;
}

describe('[S6] a picture', () => {
  it.each<Pick<PublishOptions, 'layers'>>([{ layers: 'none' }, { layers: 'simulcast' }])(
    'of layers: $layers, arrives at a viewer and moves',
    async (options) => {
      const publisher = await publish(options);
      const viewer = await view();
      const early = await viewer.pictures(streamId, 'green', 10);
      const late = await viewer.pictures(streamId, 'green', 20);
      expect(late.stamp).toBeGreaterThanOrEqual(early.stamp + 20);
      expect(await publisher.next('viewers')).toEqual({ streamId, viewerCount: 1, isWanted: true });
    },
  );

  it('arrives at a viewer who joins while others watch, and at all of them', async () => {
    await publish();
    const viewers = await Promise.all([view(), view(), view()]);
    await Promise.all(viewers.map((viewer) => viewer.pictures(streamId, 'green', 10)));
    const late = await view();
    await Promise.all([...viewers, late].map((viewer) => viewer.pictures(streamId, 'green', 10)));
  });

  it('arrives by TCP on the same port when UDP is of no use', async () => {
    await publish();
    const [byTcp, byUdp] = await Promise.all([view({ protocol: 'tcp' }), view({ protocol: 'udp' })]);
    await Promise.all([byTcp, byUdp].map((viewer) => viewer.pictures(streamId, 'green', 10)));
    const readPaths = () => Promise.all([byTcp, byUdp].map((viewer) => viewer.selectedPath(streamId)));
    // Statistics of a connection lag behind its pictures.
    await expect
      .poll(async () => (await readPaths()).map(({ protocol }) => protocol), { timeout: 10_000 })
      .toEqual(['tcp', 'udp']);
    const [tcp, udp] = await readPaths();
    expect(tcp?.port).toBe(udp?.port);
  });

  it('[S14] comes with its sound while that is to be heard, also when the picture is paused', async () => {
    await publish({ withSound: true });
    const viewer = await view();
    await viewer.pictures(streamId, 'green', 10);
    expect(await viewer.audioPackets(streamId)).toBe(0);
    const preference = { isPaused: false, isHeard: true, maxSpatialLayer: null, priority: 1 };
    const hearsMore = async (): Promise<void> => {
      const before = await viewer.audioPackets(streamId);
      await expect
        .poll(() => viewer.audioPackets(streamId), { timeout: 20_000 })
        .toBeGreaterThan(before + 20);
    };
    await viewer.prefer(streamId, preference);
    await hearsMore();
    await viewer.prefer(streamId, { ...preference, isPaused: true });
    await hearsMore();
    await viewer.prefer(streamId, { ...preference, isHeard: false });
    // What was on its way when it was paused came before the answer, or in these pictures' time.
    await viewer.pictures(streamId, 'green', 10);
    const heard = await viewer.audioPackets(streamId);
    await viewer.pictures(streamId, 'green', 10);
    expect(await viewer.audioPackets(streamId)).toBe(heard);
  });
});

describe('the end of a picture', () => {
  it('[S9] comes when the publisher leaves, is told, and nothing is decoded any more', async () => {
    const publisher = await publish();
    const viewer = await view();
    await viewer.pictures(streamId, 'green', 10);
    await publisher.leave(streamId);
    expect(await viewer.next('streamClosed')).toEqual({ streamId, code: 'STREAM_OFFLINE' });

    // Another stream tells when enough time has passed for pictures that were on their way.
    const other = createId('stream');
    await publish({ streamId: other, colour: 'blue' });
    const otherViewer = await view({ id: other });
    await otherViewer.pictures(other, 'blue', 15);
    const count = await viewer.pictureCount(streamId);
    await otherViewer.pictures(other, 'blue', 60);
    expect(await viewer.pictureCount(streamId)).toBe(count);
  });

  it('[S9] comes when the page of the publisher is gone', async () => {
    const publisher = await publish();
    const viewer = await view();
    await viewer.pictures(streamId, 'green', 5);
    await publisher.close();
    pages.splice(pages.indexOf(publisher), 1);
    expect(await viewer.next('streamClosed')).toEqual({ streamId, code: 'STREAM_OFFLINE' });
  });

  it('comes when the publisher hangs up without a word; after leaving it can publish again', async () => {
    const options = await publishOptions();
    const publisher = await openPage();
    await publisher.publish(options);
    const viewer = await view();
    await viewer.pictures(streamId, 'green', 5);
    await publisher.hangUp(streamId);
    expect(await viewer.next('streamClosed')).toEqual({ streamId, code: 'STREAM_OFFLINE' });
    await publisher.leave(streamId);
    await publisher.publish({ ...options, colour: 'blue' });
    await (await view()).pictures(streamId, 'blue', 5);
  });

  it('comes for one viewer that hangs up without a word, and for no other', async () => {
    const publisher = await publish();
    const [leaving, staying] = [await view(), await view()];
    await Promise.all([leaving, staying].map((viewer) => viewer.pictures(streamId, 'green', 5)));
    await leaving.hangUp(streamId);
    for (const viewerCount of [1, 2, 1]) {
      expect(await publisher.next('viewers')).toEqual({ streamId, viewerCount, isWanted: true });
    }
    await staying.pictures(streamId, 'green', 10);
    await leaving.leave(streamId);
  });
});

describe('another picture', () => {
  it('[S7] replaces the first one when another connection takes over; the viewer keeps its transport', async () => {
    const first = await publish({ colour: 'green' });
    const viewer = await view();
    await viewer.pictures(streamId, 'green', 10);
    await publish({ colour: 'red' });
    expect(await first.next('streamClosed')).toEqual({ streamId, code: 'STREAM_TAKEN' });
    await viewer.next('consumerClosed');
    expect(await viewer.next('producerAdded')).toEqual({ streamId, kind: 'video' });
    await viewer.consume(streamId);
    const early = await viewer.pictures(streamId, 'red', 5);
    const late = await viewer.pictures(streamId, 'red', 10);
    expect(late.stamp).toBeGreaterThan(early.stamp);
  });

  it('[S8] comes over the same connections after the worker was killed', async () => {
    const options = await publishOptions({ colour: 'green' });
    const publisher = await openPage();
    await publisher.publish(options);
    const viewing = { url: url(), token: await running.issuer.viewer(), streamId, protocol: 'udp' } as const;
    const viewer = await openPage();
    await viewer.view(viewing);
    await viewer.pictures(streamId, 'green', 10);

    killProcess(running.sfu.workerPids[0]);
    expect(await viewer.next('streamClosed')).toEqual({ streamId, code: 'WORKER_DIED' });
    expect(await publisher.next('streamClosed')).toEqual({ streamId, code: 'WORKER_DIED' });
    await publisher.publish({ ...options, colour: 'blue' });
    await viewer.view(viewing);
    await viewer.pictures(streamId, 'blue', 10);
  });
});
