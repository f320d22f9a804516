/**
 * Every view, as people see it: a screenshot each in `test-results/looks/`, dark and light, wide and 360 px, and with
 * it what a machine can judge: no serious finding of axe, nothing wider than the window, no message on the console.
 */
import { mkdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import type { AxeResults } from 'axe-core';
import type { Page } from 'playwright-core';
import { expect } from 'vitest';

const SHOTS = resolve(import.meta.dirname, '../../test-results/looks');
const WIDE = { width: 1440, height: 900 };
const NARROW = { width: 360, height: 740 };
const AXE_PATH = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
/** All that axe knows to judge and that the colours of a theme can change. */
const RULES_OF_THEME = ['color-contrast'];

export interface LookOptions {
  /** Before each picture, when the page has its size and rests: what a change of size undoes. */
  readonly prepare?: () => Promise<void>;
}

/** Takes the view in both widths and both themes, and judges each. */
export async function look(page: Page, name: string, { prepare }: LookOptions = {}): Promise<void> {
  await mkdir(SHOTS, { recursive: true });
  for (const colorScheme of ['light', 'dark'] as const) {
    for (const [width, viewport] of Object.entries({ wide: WIDE, narrow: NARROW })) {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await page.setViewportSize(viewport);
      await page.evaluate(settle);
      if (prepare) {
        await prepare();
        await page.evaluate(settle);
      }
      await page.screenshot({ path: join(SHOTS, `${name}-${colorScheme}-${width}.png`) });
      // Everything else was judged in the light, at the same width.
      const rules = colorScheme === 'dark' ? RULES_OF_THEME : null;
      expect(await serious(page, rules), `${name}, ${colorScheme}, ${width}`).toEqual([]);
      const overflowPx = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      expect(overflowPx, `${name}, ${width}: wider than the window`).toBeLessThanOrEqual(0);
    }
  }
  await page.setViewportSize(WIDE);
}

/** Runs in the page: resolves when fonts are there, and nothing changes any more with theme and size. */
async function settle(): Promise<void> {
  await document.fonts.ready;
  for (;;) {
    await new Promise(requestAnimationFrame);
    const ending = document
      .getAnimations()
      .filter(({ effect }) => effect?.getComputedTiming().endTime !== Infinity);
    if (ending.length === 0) return;
    // What ends here may set off others in what it contains.
    await Promise.allSettled(ending.map(({ finished }) => finished));
  }
}

/** Those of these rules of axe, or of all, with serious or critical findings, each with the first place. */
async function serious(page: Page, rules: readonly string[] | null): Promise<string[]> {
  const isThere = await page.evaluate(() => 'axe' in globalThis);
  if (!isThere) await page.evaluate(await readFile(AXE_PATH, 'utf8'));
  const { violations } = await page.evaluate(
    (runOnly) =>
      (globalThis as unknown as { axe: { run(options: object): Promise<AxeResults> } }).axe.run({
        resultTypes: ['violations'],
        ...(runOnly && { runOnly }),
      }),
    rules && [...rules],
  );
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes[0]?.target.join(' ')}`);
}

/** Collects what the page complains about from here on: failed scripts, and violations of the content policy. */
export function complaintsOf(page: Page): string[] {
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => {
    // Before somebody signs in, asking who one is fails, and Chromium says so.
    const isExpected = message.text().includes('401');
    if (message.type() === 'error' && !isExpected) complaints.push(message.text());
  });
  return complaints;
}
