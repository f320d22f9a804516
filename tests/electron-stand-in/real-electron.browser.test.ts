/** The desktop app in the real Electron, wherever its program is on the machine. It keeps the stand-in honest. */
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { _electron, type ElectronApplication, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startXvfb, type Xvfb } from './xvfb.ts';

const APP_DIR = join(import.meta.dirname, '../../desktop');
const executablePath = findElectron();

describe.skipIf(executablePath === null)(
  'the desktop app in real Electron [skipped: no Electron binary]',
  () => {
    let folder: string;
    let xvfb: Xvfb;
    let electron: ElectronApplication;
    let page: Page;

    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'proofcast-electron-'));
      xvfb = await startXvfb({ width: 1280, height: 720 });
      electron = await _electron.launch({
        executablePath: executablePath ?? '',
        args: [APP_DIR, `--user-data-dir=${folder}`, ...(process.getuid?.() === 0 ? ['--no-sandbox'] : [])],
        env: { ...(process.env as Record<string, string>), DISPLAY: xvfb.display },
      });
      page = await electron.firstWindow();
    });

    afterAll(async () => {
      await electron?.close();
      await xvfb?.close();
      await rm(folder, { recursive: true, force: true });
    });

    it('shows its first page from its own origin', async () => {
      await page.getByTestId('server-url').waitFor();
      expect(page.url()).toBe('app://proofcast/index.html');
    });

    it('gives the page the narrow bridge and nothing else', async () => {
      const seen = await page.evaluate(() => ({
        bridge: Object.keys(Reflect.get(globalThis, 'proofcast') as object).toSorted(),
        others: ['require', 'module', 'process', 'ipcRenderer'].filter((name) => name in globalThis),
      }));
      expect(seen).toEqual({ bridge: ['on', 'request'], others: [] });
    });

    it('lists the screen that there is', async () => {
      const answer = await page.evaluate(() => window.proofcast.request('listSources', {}));
      expect(answer).toMatchObject({ ok: true });
      expect(answer.ok && answer.result.sources[0]?.kind).toBe('screen');
    });

    it('lets the page capture nothing that it was not asked to share', async () => {
      const name = await page.evaluate(() =>
        navigator.mediaDevices.getDisplayMedia({ video: true }).then(
          () => 'captured',
          (error: DOMException) => error.name,
        ),
      );
      expect(name).not.toBe('captured');
    });
  },
);

/** Null when the program was not fetched: the npm package carries only its interface. */
function findElectron(): string | null {
  const folder = dirname(createRequire(join(APP_DIR, 'package.json')).resolve('electron/package.json'));
  const pathFile = join(folder, 'path.txt');
  const name = existsSync(pathFile) ? readFileSync(pathFile, 'utf8').trim() : 'electron';
  const path = join(process.env['ELECTRON_OVERRIDE_DIST_PATH'] ?? join(folder, 'dist'), name);
  return existsSync(path) ? path : null;
}
