/**
 * Serves `tests/harness/` to a page under an origin of its own, TypeScript included (types stripped), so that code
 * which runs in a page is an ordinary module and shares what it needs with the code outside.
 */
import { readFile } from 'node:fs/promises';
import { stripTypeScriptTypes } from 'node:module';
import { basename, join } from 'node:path';
import type { Page } from 'playwright-core';

const ORIGIN = 'https://harness.invalid';
const FOLDER = import.meta.dirname;

/** Opens `tests/harness/pages/<module>` in `page`, at an address with `query`. Resolves when the module has run. */
export async function openHarnessPage(
  page: Page,
  module: string,
  query: Readonly<Record<string, string>> = {},
): Promise<void> {
  await page.route(`${ORIGIN}/**`, async (route) => {
    const path = new URL(route.request().url()).pathname;
    if (!path.endsWith('.ts')) {
      const script = `<script type="module" src="/pages/${basename(module)}"></script>`;
      await route.fulfill({
        contentType: 'text/html',
        body: `<!doctype html><style>body{margin:0;overflow:hidden}</style>${script}`,
      });
      return;
    }
    const source = await readFile(join(FOLDER, ...path.split('/')), 'utf8');
    await route.fulfill({ contentType: 'text/javascript', body: stripTypeScriptTypes(source) });
  });
  await page.goto(`${ORIGIN}/?${new URLSearchParams(query).toString()}`, { waitUntil: 'load' });
}
