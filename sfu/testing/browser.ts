/** A real Chromium whose pages publish and view. */
import { fileURLToPath } from 'node:url';
import { chromium, type Page } from 'playwright-core';
import { build } from 'vite';
import type { TestPage } from './page/api.ts';

const CHROMIUM = process.env['CHROMIUM_PATH'] ?? '/usr/bin/chromium';

const CHROMIUM_ARGS = [
  // Both ends are on 127.0.0.1, which browsers neither use nor name in ICE unless told to.
  '--allow-loopback-in-peer-connection',
  // What is served by nobody counts as a public page, which may not reach this machine unless told to.
  '--disable-features=WebRtcHideLocalIpsWithMdns,LocalNetworkAccessChecks',
  // A page in the background plays and draws as one in front.
  '--disable-renderer-backgrounding',
  '--disable-background-timer-throttling',
  '--disable-backgrounding-occluded-windows',
  '--autoplay-policy=no-user-gesture-required',
  // Quiet on a closed network.
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-quic',
  '--no-first-run',
  // Chromium refuses its sandbox to root.
  ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
];

/** A secure context, where Chromium says which version it is; nothing listens there, and nothing is asked. */
const ORIGIN = 'http://127.0.0.1:9/';

type Methods = { [name: string]: (...args: never[]) => unknown };

/** Every method of `P`, called in the page. */
export type RemotePage<P = TestPage> = {
  [M in keyof P]: P[M] extends (...args: infer A) => infer R ? (...args: A) => Promise<Awaited<R>> : never;
} & {
  close(): Promise<void>;
  readonly page: Page;
};

export interface TestBrowser<P = TestPage> {
  open(): Promise<RemotePage<P>>;
  close(): Promise<void>;
}

/** Pages of a browser in which `entry` has run, which sets `window.testPage` to a `P`. */
export async function launchBrowser<P extends Methods | TestPage = TestPage>(
  entry: string = fileURLToPath(new URL('page/page.ts', import.meta.url)),
): Promise<TestBrowser<P>> {
  const script = await bundlePage(entry);
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: CHROMIUM_ARGS });
  return {
    async open() {
      const page = await browser.newPage();
      await page.route(ORIGIN, (route) =>
        route.fulfill({ contentType: 'text/html', body: '<!doctype html>' }),
      );
      await page.goto(ORIGIN);
      await page.addScriptTag({ content: script });
      const call =
        (method: string) =>
        (...args: unknown[]) =>
          page.evaluate(
            ([name, parameters]) => {
              const { testPage } = globalThis as unknown as {
                testPage: Record<string, (...all: unknown[]) => unknown>;
              };
              return testPage[name]?.(...parameters);
            },
            [method, args] as const,
          );
      return new Proxy({} as RemotePage<P>, {
        get: (_target, name) => {
          if (typeof name !== 'string' || name === 'then') return undefined;
          if (name === 'page') return page;
          return name === 'close' ? () => page.close() : call(name);
        },
      });
    },
    close: () => browser.close(),
  };
}

/** One classic script with everything in it; the page loads nothing. */
async function bundlePage(entry: string): Promise<string> {
  const output = await build({
    configFile: false,
    logLevel: 'silent',
    build: {
      write: false,
      minify: false,
      lib: {
        entry,
        formats: ['iife'],
        name: 'sfuTestPage',
      },
    },
  });
  const [bundle] = Array.isArray(output) ? output : [output];
  const chunk = bundle && 'output' in bundle ? bundle.output[0] : undefined;
  if (chunk?.type !== 'chunk') throw new Error('Vite did not bundle the test page.');
  return chunk.code;
}
