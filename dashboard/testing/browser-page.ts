/**
 * Runs a module of `testing/pages/` in a real browser: bundled as the dashboard itself is, under an origin of its own
 * that no network is asked for.
 */
import { join } from 'node:path';
import { chromium, type Browser, type Page } from 'playwright-core';
import { build, type Rolldown } from 'vite';

const ORIGIN = 'https://dashboard.invalid';
const CHROMIUM_PATH = process.env['CHROMIUM_PATH'] ?? '/usr/bin/chromium';

/** What the module has put on `window.scenarios`. */
type ScenariosOf<S> = { readonly [N in keyof S]: (...parameters: never[]) => unknown };

export interface BrowserPage<S extends ScenariosOf<S>> {
  readonly page: Page;
  /** Calls a scenario in the page; resolves with its result. */
  run<N extends keyof S & string>(
    name: N,
    ...parameters: Parameters<S[N]>
  ): Promise<Awaited<ReturnType<S[N]>>>;
  close(): Promise<void>;
}

/** Opens a page in which `testing/pages/<module>` has run. */
export async function openBrowserPage<S extends ScenariosOf<S>>(
  module: string,
  chromiumArguments: string[] = [],
): Promise<BrowserPage<S>> {
  const [script, browser] = await Promise.all([bundle(module), launch(chromiumArguments)]);
  const page = await browser.newPage();
  await page.route(`${ORIGIN}/**`, (route) =>
    route.request().url().endsWith('.js')
      ? route.fulfill({ contentType: 'text/javascript', body: script })
      : route.fulfill({
          contentType: 'text/html',
          body: '<!doctype html><script type="module" src="/page.js"></script>',
        }),
  );
  await page.goto(`${ORIGIN}/`, { waitUntil: 'load' });
  return {
    page,
    run: <N extends keyof S & string>(name: N, ...parameters: Parameters<S[N]>) =>
      runScenario(page, name, parameters) as Promise<Awaited<ReturnType<S[N]>>>,
    close: () => browser.close(),
  };
}

function runScenario(page: Page, name: string, parameters: readonly unknown[]): Promise<unknown> {
  return page.evaluate(
    ([scenario, given]) => {
      const { scenarios } = window as unknown as {
        scenarios: Record<string, (...all: unknown[]) => unknown>;
      };
      return scenarios[scenario]?.(...given);
    },
    [name, parameters] as const,
  );
}

async function bundle(module: string): Promise<string> {
  const output = (await build({
    configFile: false,
    root: import.meta.dirname,
    logLevel: 'error',
    build: {
      write: false,
      minify: false,
      lib: { entry: join(import.meta.dirname, 'pages', module), formats: ['es'], fileName: 'page' },
    },
  })) as Rolldown.RolldownOutput[];
  const chunk = output[0]?.output[0];
  if (!chunk) throw new Error(`Bundling ${module} gave nothing.`);
  return chunk.code;
}

function launch(chromiumArguments: string[]): Promise<Browser> {
  // Chromium refuses to run as root inside its sandbox.
  const sandbox = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  const quiet = ['--disable-background-networking', '--disable-component-update', '--disable-gpu'];
  return chromium.launch({
    executablePath: CHROMIUM_PATH,
    headless: true,
    args: [...quiet, ...sandbox, '--autoplay-policy=no-user-gesture-required', ...chromiumArguments],
  });
}
