/**
 * Many light streams at a time, on both paths: the live one with the real publisher of the desktop app, in few pages of
 * one browser, the other one with synthetic recordings. Relay and SFU are processes of their own.
 */
import type { Id } from '@proofcast/shared';
import type { TestBrowser } from '../../sfu/testing/browser.ts';
import { TestClient } from '../../relay/testing/test-client.ts';
import { enrolPublishers, LoadPublisher, sharePayload, type PublisherSeat } from '../bench/load-publisher.ts';
import { RecorderStream } from '../bench/recorder-stream.ts';
import { browserCpuSeconds } from './browser-usage.ts';
import { launchLiveBrowser, type LivePage } from './live-page.ts';
import type { LivePageApi, PublishedPicture } from './live-page-api.ts';
import { startServices, type Services } from './services.ts';

/** Streams of one page; each has a connection and an encoder of its own, as on its own desk. */
const STREAMS_PER_PAGE = 13;
/** Of the recordings: what the desktop app delivers while nobody watches through the relay. */
const SLICE_MS = 2_000;
const BITS_PER_SECOND = 100_000;

export class LiveWall {
  readonly services: Services;
  readonly admin: TestClient;
  readonly streamIds: readonly Id[];
  readonly #pages: readonly LivePage[];
  readonly #stack: AsyncDisposableStack;

  private constructor(
    parts: Pick<LiveWall, 'services' | 'admin' | 'streamIds'> & {
      pages: readonly LivePage[];
      stack: AsyncDisposableStack;
    },
  ) {
    this.services = parts.services;
    this.admin = parts.admin;
    this.streamIds = parts.streamIds;
    this.#pages = parts.pages;
    this.#stack = parts.stack;
  }

  /** Resolves when all streams are live at the SFU and known to the relay; nobody watches yet. */
  static async open(options: { streamCount: number; picture: PublishedPicture }): Promise<LiveWall> {
    await using stack = new AsyncDisposableStack();
    const services = stack.adopt(await startServices({ LOG_LEVEL: 'warn' }), (it) => it.close());
    const admin = new TestClient(services.relay.url);
    await admin.call('signIn', { body: services.admin });
    const seats = await enrolPublishers(admin, options.streamCount);
    const uploads = await Promise.all(
      seats.map(async (seat) =>
        stack.adopt(await LoadPublisher.open(services.relay.url, seat), (it) => it.destroy()),
      ),
    );
    const recorder = new RecorderStream({ bitsPerSecond: BITS_PER_SECOND });
    const timer = setInterval(() => {
      const slice = sharePayload('media', recorder.take(SLICE_MS));
      for (const upload of uploads) upload.send(slice, Date.now() * 1000);
    }, SLICE_MS);
    stack.defer(() => clearInterval(timer));
    const browser = stack.adopt(await launchLiveBrowser(), (it) => it.close());
    const pages = await publishAll(browser, seats, options.picture);
    const streamIds = seats.map(({ streamId }) => streamId);
    return new LiveWall({ services, admin, streamIds, pages, stack: stack.move() });
  }

  /** Pictures that all publishers together have encoded for small tiles so far. */
  async encodedCount(): Promise<number> {
    const sent = await Promise.all(this.#pages.map((page) => page.sent()));
    return sent.reduce((sum, { smallFramesEncoded }) => sum + smallFramesEncoded, 0);
  }

  /** User and system time of the browser with all publishers so far, in seconds. */
  publisherCpuSeconds(): Promise<number> {
    const browser = this.#pages[0]?.page.context().browser();
    if (!browser) throw new Error('Nobody publishes.');
    return browserCpuSeconds(browser);
  }

  /** Ends everything. Idempotent. */
  close(): Promise<void> {
    return this.#stack.disposeAsync();
  }
}

async function publishAll(
  browser: TestBrowser<LivePageApi>,
  seats: readonly PublisherSeat[],
  picture: PublishedPicture,
): Promise<LivePage[]> {
  const pages: LivePage[] = [];
  for (let first = 0; first < seats.length; first += STREAMS_PER_PAGE) {
    const page = await browser.open();
    pages.push(page);
    await Promise.all(
      seats
        .slice(first, first + STREAMS_PER_PAGE)
        .map(({ streamId, sfu }) => page.publish({ ...sfu, streamId, ...picture })),
    );
  }
  return pages;
}
