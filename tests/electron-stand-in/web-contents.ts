/** Test code: a page of Chromium as the app sees it. */
import { randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { readFile } from 'node:fs/promises';
import type { CDPSession, Page } from 'playwright-core';
import { openAnotherPage } from './chromium.ts';
import { answerInvoke, describeFrame, type StandInFrame } from './ipc-main.ts';
import { toAppUrl, toPageUrl } from './origins.ts';
import { END_CAPTURE_CHANNEL, installPageSide, type PageSideOptions } from './page-side.ts';
import { preventable } from './preventable.ts';
import { serveAppPages } from './protocol.ts';
import { decideDisplayMedia, decideUserMedia } from './session.ts';

type WindowOpenHandler = (details: { url: string }) => { action: 'deny' | 'allow' };

export class WebContents extends EventEmitter {
  readonly #preloadPath: string;
  readonly #deliverName = `deliver_${randomBytes(8).toString('hex')}`;
  readonly #onClosed: () => void;
  #page: Page;
  #devTools: Promise<CDPSession> | undefined;
  #replacing: Promise<void> = Promise.resolve();
  readonly #crashed = new WeakSet<Page>();
  #windowOpenHandler: WindowOpenHandler = () => ({ action: 'allow' });
  /** What the app itself has asked to load; going anywhere else is the page's doing. */
  #requestedUrl = '';

  /** `onClosed` hears that the page was closed from outside. */
  constructor(page: Page, preloadPath: string, onClosed: () => void) {
    super();
    this.#preloadPath = preloadPath;
    this.#onClosed = onClosed;
    this.#page = page;
    this.#listenTo(page);
  }

  get mainFrame(): StandInFrame {
    return describeFrame(this.#page.mainFrame());
  }

  setWindowOpenHandler(handler: WindowOpenHandler): void {
    this.#windowOpenHandler = handler;
  }

  send(channel: string, ...args: unknown[]): void {
    const deliver = `globalThis[${JSON.stringify(this.#deliverName)}]`;
    const data = [channel, args].map((value) => JSON.stringify(value)).join(', ');
    // A page that is gone or on its way elsewhere hears nothing, as in Electron.
    this.#run(`${deliver}?.(${data})`, false).catch(() => undefined);
  }

  /** What the page may do only after a click it may do after this when `userGesture` is set. */
  async executeJavaScript(code: string, userGesture = false): Promise<unknown> {
    return this.#run(code, userGesture);
  }

  /** What the page sees when the system ends a capture, because the window was closed or the screen unplugged. */
  endCapture(): void {
    this.send(END_CAPTURE_CHANNEL);
  }

  /** The renderer is gone when the app asks for this, and Chromium needs a new page then. */
  reload(): void {
    // One after the other: the new page may crash too while it is still being prepared, which the app is told.
    this.#replacing = this.#replacing.then(() => this.#replacePage());
  }

  async load(url: string): Promise<void> {
    this.#requestedUrl = url;
    await this.#prepare();
    await this.#page.goto(toPageUrl(url));
  }

  bringToFront(): void {
    this.#page.bringToFront().catch(() => undefined);
  }

  #listenTo(page: Page): void {
    page.on('crash', () => this.#onCrash(page));
    page.on('popup', (popup) => void this.#onPopup(popup));
    page.on('close', () => {
      if (page === this.#page) this.#onClosed();
    });
  }

  /** Playwright's own `evaluate` counts as a click, which Electron's messages do not. */
  async #run(code: string, userGesture: boolean): Promise<unknown> {
    const page = this.#page;
    this.#devTools ??= page.context().newCDPSession(page);
    const devTools = await this.#devTools;
    const { result, exceptionDetails } = await devTools.send('Runtime.evaluate', {
      expression: code,
      userGesture,
      awaitPromise: true,
      returnByValue: true,
    });
    if (exceptionDetails) throw new Error(exceptionDetails.text);
    return result.value;
  }

  /** Once for each page; what fails of a page that has crashed may fail before, or instead of, the event of its crash. */
  #onCrash(page: Page): void {
    if (this.#crashed.has(page)) return;
    this.#crashed.add(page);
    this.#tellGone();
  }

  #tellGone(): void {
    this.emit('render-process-gone', {}, { reason: 'crashed', exitCode: 9 });
  }

  /** Never rejects. */
  async #replacePage(): Promise<void> {
    const old = this.#page;
    // A renderer that is killed while it is given its first page takes that page with it, before there is one to listen to.
    const page = await openAnotherPage().catch(() => undefined);
    if (!page) return this.#tellGone();
    this.#page = page;
    this.#devTools = undefined;
    this.#listenTo(page);
    await old.close().catch(() => undefined);
    await this.load(this.#requestedUrl).catch(() => {
      if (!page.isClosed()) this.#onCrash(page);
    });
  }

  async #prepare(): Promise<void> {
    const page = this.#page;
    const suffix = randomBytes(8).toString('hex');
    const invokeBinding = `invoke_${suffix}`;
    const displayMediaBinding = `display_${suffix}`;
    const userMediaBinding = `devices_${suffix}`;
    await page.exposeBinding(invokeBinding, ({ frame }, channel: string, args: unknown[]) =>
      answerInvoke(this, frame, channel, args),
    );
    await page.exposeBinding(
      displayMediaBinding,
      async ({ frame }, video: boolean, audio: boolean, userGesture: boolean) =>
        (await decideDisplayMedia(this, describeFrame(frame), { video, audio, userGesture })) !== null,
    );
    await page.exposeBinding(userMediaBinding, ({ frame }, audio: boolean, video: boolean) =>
      decideUserMedia(this, describeFrame(frame), { audio, video }),
    );
    const options: PageSideOptions = {
      invokeBinding,
      displayMediaBinding,
      userMediaBinding,
      deliverName: this.#deliverName,
      endCaptureChannel: END_CAPTURE_CHANNEL,
    };
    // As text in one script, because the policy of the app's pages allows no code that is made from strings.
    const preload = `(require, exports, module) => {\n${await readFile(this.#preloadPath, 'utf8')}\n}`;
    await page.addInitScript({
      content: `(${String(installPageSide)})(${JSON.stringify(options)}, ${preload});`,
    });
    await serveAppPages(page);
    await this.#guardNavigation();
  }

  /** Asks the app before the page goes elsewhere. */
  async #guardNavigation(): Promise<void> {
    await this.#page.route('**', async (route) => {
      const request = route.request();
      const url = toAppUrl(request.url());
      if (!request.isNavigationRequest() || url === this.#requestedUrl) return route.fallback();
      const event = preventable();
      const isMainFrame = request.frame() === this.#page.mainFrame();
      if (isMainFrame) this.emit('will-navigate', event, url);
      this.emit('will-frame-navigate', Object.assign(event, { url, isMainFrame }));
      return event.defaultPrevented ? route.abort('aborted') : route.fallback();
    });
  }

  async #onPopup(popup: Page): Promise<void> {
    const { action } = this.#windowOpenHandler({ url: popup.url() });
    if (action === 'deny') await popup.close();
  }
}
