/** The real SFU in this process, and pages with the real clients of it. */
import { createId, SFU_PATH, type Id } from '@proofcast/shared';
import type { TestBrowser } from '../../sfu/testing/browser.ts';
import { runSfu, type RunningSfu } from '../../sfu/testing/running-sfu.ts';
import { launchLiveBrowser, type LivePage } from '../harness/live-page.ts';
import type { LiveAccess, LivePageApi, PublishedPicture } from '../harness/live-page-api.ts';

const PICTURE: PublishedPicture = { widthPx: 1280, heightPx: 720, framesPerSecond: 20, isRestless: false };

export class LiveWorld {
  readonly running: RunningSfu;
  readonly streamId = createId('stream');
  readonly #browser: TestBrowser<LivePageApi>;

  private constructor(running: RunningSfu, browser: TestBrowser<LivePageApi>) {
    this.running = running;
    this.#browser = browser;
  }

  static async open(overrides: Parameters<typeof runSfu>[0] = {}): Promise<LiveWorld> {
    const [running, browser] = await Promise.all([runSfu(overrides), launchLiveBrowser()]);
    return new LiveWorld(running, browser);
  }

  openPage(): Promise<LivePage> {
    return this.#browser.open();
  }

  /** A page that publishes, once it is live. */
  async publish(streamId: Id = this.streamId, picture: Partial<PublishedPicture> = {}): Promise<LivePage> {
    const page = await this.openPage();
    const access = this.#access(await this.running.issuer.publisher(streamId), streamId);
    await page.publish({ ...access, ...PICTURE, ...picture });
    return page;
  }

  /** Has `page` open its signalling. */
  async warmUp(page: LivePage, streamId: Id = this.streamId): Promise<void> {
    await page.warmUp(this.#access(await this.running.issuer.viewer(), streamId));
  }

  /** Has `page` view a stream; resolves with the milliseconds to its first picture. */
  async view(page: LivePage, { streamId = this.streamId }: { streamId?: Id } = {}): Promise<number> {
    const access = this.#access(await this.running.issuer.viewer(), streamId);
    return page.view(access);
  }

  async close(): Promise<void> {
    await this.#browser.close();
    await this.running.stop();
  }

  #access(token: string, streamId: Id): LiveAccess {
    return { url: this.running.sfu.url.replace('http', 'ws') + SFU_PATH, token, streamId };
  }
}
