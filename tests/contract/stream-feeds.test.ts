/**
 * Both feeds of the dashboard's player against the real relay: the page's websocket and bodies of HTTP responses give
 * the same bytes, live and of the past.
 */
import type { Id, Schedule, ViewerFrame } from '@proofcast/shared';
import { loadWebmClip } from '@proofcast/shared/testing/webm-clip';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MAX_HTTP_BODIES } from '../../dashboard/src/config.ts';
import { HttpFeed } from '../../dashboard/src/player/http-feed.ts';
import { RelayConnection } from '../../dashboard/src/player/relay-connection.ts';
import type { PastRange, StreamFeed, Watch } from '../../dashboard/src/player/stream-feed.ts';
import { RelayClient } from '../../dashboard/src/relay-client.ts';
import { ChunkMaker } from '../../relay/testing/chunk-maker.ts';
import { allKeyPoints, originalOf, readRuns } from '../../relay/testing/reader-runs.ts';
import type { TestClient } from '../../relay/testing/test-client.ts';
import { TestDevice } from '../../relay/testing/test-device.ts';
import { TestPublisher } from '../../relay/testing/test-publisher.ts';
import { startTestRelay, type TestRelay } from '../../relay/testing/test-relay.ts';

const VP8 = loadWebmClip('vp8');
const STARTED_AT_US = 1_800_000_000_000_000;
const CHUNK_BYTES = 9_000;

const schedule: Schedule = (callback, delayMs) => {
  const timer = setTimeout(callback, delayMs);
  return () => clearTimeout(timer);
};

let relay: TestRelay;
let viewer: TestClient;
let publisher: TestPublisher;
let streamId: Id;
let closers: (() => void)[];

beforeEach(async () => {
  closers = [];
  relay = await startTestRelay();
  viewer = await relay.signInAs('viewer');
  const device = await TestDevice.enrol(await relay.signInAdmin());
  const tokens = await device.publishTokens(relay.client());
  streamId = tokens.streamId;
  const headers = { authorization: `Bearer ${tokens.ingest.token}` };
  publisher = new TestPublisher(
    await relay.client().open('ingest', { headers }),
    new ChunkMaker({ streamId, deviceId: device.deviceId }),
  );
  await publisher.hello();
  publisher.maker.epoch({ mimeType: VP8.mimeType, startedAtUs: STARTED_AT_US });
  for (let at = 0; at < VP8.bytes.length; at += CHUNK_BYTES) {
    publisher.maker.media(VP8.bytes.subarray(at, at + CHUNK_BYTES));
  }
  publisher.upload();
  await publisher.untilDurable();
});

afterEach(async () => {
  for (const close of closers) close();
  await relay.close();
});

/** The dashboard's own client, with the cookie that a browser would send. */
function dashboardClient(): RelayClient {
  return new RelayClient({
    fetch: (path, init) => {
      if (typeof path !== 'string') throw new TypeError('The client asks for paths.');
      const headers = new Headers(init?.headers);
      headers.set('cookie', viewer.cookie);
      return fetch(new URL(path, relay.relay.url), { ...init, headers });
    },
    onReached: () => undefined,
    onUnauthenticated: () => undefined,
  });
}

async function openWebsocket(): Promise<StreamFeed> {
  const opened = Promise.withResolvers<void>();
  const connection = new RelayConnection({
    createTicket: async () => (await viewer.call('createViewTicket')).ticket,
    openSocket: (ticket) =>
      new WebSocket(`${relay.relay.url.replace('http', 'ws')}/api/view?ticket=${ticket}`),
    schedule,
    nowMs: Date.now,
    onState: ({ kind }) => kind === 'open' && opened.resolve(),
    onStreams: () => undefined,
    onStreamChanged: () => undefined,
    onStreamRemoved: () => undefined,
  });
  closers.push(() => connection.close());
  await opened.promise;
  return connection;
}

async function openHttp(): Promise<HttpFeed> {
  const feed = new HttpFeed({ relay: dashboardClient(), schedule, nowMs: Date.now });
  closers.push(() => feed.close());
  return feed;
}

/** What came on one watch, and a way to wait for more. */
class Collected {
  readonly frames: ViewerFrame[] = [];
  readonly epochs: number[] = [];
  readonly held: number[] = [];
  readonly ended: string[] = [];
  readonly watch: Watch;
  #wake = Promise.withResolvers<void>();

  constructor(feed: StreamFeed, range?: PastRange) {
    this.watch = feed.watch(
      streamId,
      {
        onEpoch: ({ epoch }) => this.epochs.push(epoch),
        // A copy: what a body delivers may be a part of a buffer that is used again.
        onFrame: (frame) => this.#note(() => this.frames.push({ ...frame, payload: frame.payload.slice() })),
        onHeld: (atUs) => this.#note(() => this.held.push(atUs)),
        onEnded: ({ code }) => this.#note(() => this.ended.push(code)),
      },
      range,
    );
  }

  async until(condition: (collected: Collected) => boolean): Promise<void> {
    while (!condition(this)) await this.#wake.promise;
  }

  #note(take: () => void): void {
    take();
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }
}

/** The runs of bytes; whether an init segment follows something else is a matter of the carrier, and left out. */
function runsOf({ frames }: Collected, what: string): ReturnType<typeof readRuns> {
  const first = frames.findIndex(({ kind }) => kind === 'init');
  const marked = frames.map((frame, index) => ({
    ...frame,
    isDiscontinuity: frame.kind === 'init' && index !== first,
  }));
  return readRuns(marked, originalOf(publisher.maker.chunks), what);
}

const FEEDS: readonly [string, () => Promise<StreamFeed>][] = [
  ['by websocket', openWebsocket],
  ['by HTTP', openHttp],
];
const bytesOf = ({ frames }: Collected): number =>
  frames.reduce((sum, { kind, payload }) => sum + (kind === 'media' ? payload.length : 0), 0);

describe.each(FEEDS)('a stream %s', (_name, open) => {
  it('[V3] is live from the newest key cluster on, and ends with a reason', async () => {
    const original = originalOf(publisher.maker.chunks);
    const live = new Collected(await open());
    const newest = allKeyPoints(original).at(-1)!;
    await live.until((it) => bytesOf(it) >= VP8.bytes.length - newest.streamStart);
    expect(live.epochs).toEqual([0]);
    const [run] = runsOf(live, 'live');
    expect(run).toMatchObject({ start: newest.streamStart, end: VP8.bytes.length });
    await publisher.stop();
    await live.until(({ ended }) => ended.length > 0);
    expect(live.ended).toEqual(['STREAM_OFFLINE']);
  });

  it('[V9] is sent up to where the past was asked for, and on from there, byte for byte', async () => {
    const original = originalOf(publisher.maker.chunks);
    const keys = allKeyPoints(original);
    const past = new Collected(await open(), { fromUs: 0, untilUs: keys[1]!.timeUs });
    await past.until(({ held }) => held.length > 0);
    expect(past.held).toEqual([keys[1]!.timeUs]);
    expect(bytesOf(past)).toBe(keys[1]!.streamStart - keys[0]!.streamStart);
    past.watch.extend(keys[2]!.timeUs);
    await past.until(({ held }) => held.length > 1);
    expect(past.held).toEqual([keys[1]!.timeUs, keys[2]!.timeUs]);
    const runs = runsOf(past, 'past');
    expect(runs[0]?.start).toBe(keys[0]!.streamStart);
    expect(runs.at(-1)?.end).toBe(keys[2]!.streamStart);
    expect(bytesOf(past)).toBe(keys[2]!.streamStart - keys[0]!.streamStart);
  });

  it('[V10] goes elsewhere when told so', async () => {
    const original = originalOf(publisher.maker.chunks);
    const keys = allKeyPoints(original);
    const past = new Collected(await open(), { fromUs: 0, untilUs: keys[1]!.timeUs });
    await past.until(({ held }) => held.length > 0);
    past.frames.length = 0;
    const last = keys.at(-2)!;
    past.watch.seek({ fromUs: last.timeUs, untilUs: keys.at(-1)!.timeUs });
    await past.until(({ held }) => held.length > 1);
    expect(runsOf(past, 'after the seek')[0]).toMatchObject({
      start: last.streamStart,
      end: keys.at(-1)!.streamStart,
    });
  });

  it('is silent after it was closed', async () => {
    const closed = new Collected(await open());
    closed.watch.close();
    closed.watch.close();
    closed.watch.extend(1);
    closed.watch.seek({ fromUs: 0, untilUs: 1 });
    const other = new Collected(await open());
    await other.until(({ frames }) => frames.length > 1);
    await publisher.stop();
    await other.until(({ ended }) => ended.length > 0);
    expect([closed.frames, closed.ended, closed.held]).toEqual([[], [], []]);
  });

  it("tells the relay's clock", async () => {
    const feed = await open();
    const live = new Collected(feed);
    await live.until(({ frames }) => frames.length > 0);
    expect(Math.abs((feed.relayNowMs() ?? 0) - Date.now())).toBeLessThan(600);
  });
});

describe('streams by HTTP', () => {
  it('[T5] are a few at a time: one more ends at once, and there is room again when one was closed', async () => {
    const feed = await openHttp();
    const open = Array.from({ length: MAX_HTTP_BODIES }, () => new Collected(feed));
    const refused = new Collected(feed);
    await refused.until(({ ended }) => ended.length > 0);
    expect(refused.ended).toEqual(['LIMIT_REACHED']);
    await Promise.all(open.map((each) => each.until(({ frames }) => frames.length > 0)));
    open[0]!.watch.close();
    const next = new Collected(feed);
    await next.until(({ frames }) => frames.length > 0);
  });

  it('end with the code of the relay when it refuses, and as lost when the relay goes', async () => {
    const feed = await openHttp();
    const foreign = new Collected({
      relayNowMs: () => null,
      watch: (_streamId, watcher) => feed.watch('str_00000000000000000000', watcher),
    });
    await foreign.until(({ ended }) => ended.length > 0);
    expect(foreign.ended).toEqual(['STREAM_NOT_FOUND']);
    const live = new Collected(feed);
    await live.until(({ frames }) => frames.length > 0);
    await relay.relay.close();
    await live.until(({ ended }) => ended.length > 0);
    expect(live.ended).toEqual(['SHUTTING_DOWN']);
  });
});
