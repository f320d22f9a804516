/** A real Chromium whose pages publish and view. */
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { build } from 'vite';
import type { TestPage } from './page/api.ts';

const CHROMIUM = process.env['CHROMIUM_PATH'] ?? '/usr/bin/chromium';

const CHROMIUM_ARGS = [
  // Both ends are on 127.0.0.1, which browsers neither use nor name in ICE unless told to.
  '--allow-loopback-in-peer-connection',
  '--disable-features=WebRtcHideLocalIpsWithMdns',
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

/** Every method of `TestPage`, called in the page. */
export type RemotePage = {
  [M in keyof TestPage]: (...args: Parameters<TestPage[M]>) => Promise<Awaited<ReturnType<TestPage[M]>>>;
} & { close(): Promise<void> };

export interface TestBrowser {
  open(): Promise<RemotePage>;
  close(): Promise<void>;
}

export async function launchBrowser(): Promise<TestBrowser> {
  const script = await bundlePage();
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: CHROMIUM_ARGS });
  return {
    async open() {
      const page = await browser.newPage();
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
      return new Proxy({} as RemotePage, {
        get: (_target, name) => {
          if (typeof name !== 'string' || name === 'then') return undefined;
          return name === 'close' ? () => page.close() : call(name);
        },
      });
    },
    close: () => browser.close(),
  };
}

/** One classic script with everything in it; the page loads nothing. */
async function bundlePage(): Promise<string> {
  const output = await build({
    configFile: false,
    logLevel: 'silent',
    build: {
      write: false,
      minify: false,
      lib: {
        entry: fileURLToPath(new URL('page/page.ts', import.meta.url)),
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
