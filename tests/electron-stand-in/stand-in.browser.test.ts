/** The stand-in itself: that it guards what Electron guards, and leaves nothing behind. */
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { launchDesktop, type DesktopApp } from './launch.ts';
import { startXvfb, type Xvfb } from './xvfb.ts';

const KILLING_MS = 300;

let folder: string;
let xvfb: Xvfb;
let app: DesktopApp;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'proofcast-stand-in-test-'));
  xvfb = await startXvfb({ width: 640, height: 480 });
  app = await launchDesktop({ display: xvfb.display, userDataDir: join(folder, 'data') });
});

afterAll(async () => {
  await app?.close();
  await xvfb?.close();
  await rm(folder, { recursive: true, force: true });
});

describe('the page of the app', () => {
  it('has the narrow bridge and nothing else of Electron or of the stand-in', async () => {
    const seen = await app.page.evaluate(() => ({
      bridge: Object.keys(Reflect.get(globalThis, 'proofcast') as object).toSorted(),
      isFrozen: Object.isFrozen(Reflect.get(globalThis, 'proofcast')),
      others: ['require', 'module', 'process', 'ipcRenderer', 'electron', 'Buffer'].filter(
        (name) => name in globalThis,
      ),
      bindings: Object.keys(globalThis).filter((name) => /^(invoke|display|deliver)_/.test(name)),
    }));
    expect(seen).toEqual({ bridge: ['on', 'request'], isFrozen: true, others: [], bindings: [] });
  });

  it('can send megabytes unaltered, and hears errors with their code', async () => {
    const answer = await app.page.evaluate(() =>
      window.proofcast.request('appendSlice', {
        recordingId: 'rec_00000000000000000000',
        epoch: 0,
        captureTimeUs: 1,
        bytes: new Uint8Array(3 * 1024 * 1024).fill(200),
      }),
    );
    // It passed the check of its shape, which only a real Uint8Array does.
    expect(answer).toMatchObject({ ok: false, error: { code: 'RECORDING_NOT_FOUND' } });
  });

  it('is refused what the contract does not have', async () => {
    const refused = await app.page.evaluate(async () => {
      const request = (name: string, params: object): Promise<unknown> =>
        (window.proofcast.request as (name: string, params: object) => Promise<unknown>)(name, params);
      const failures: unknown[] = [await request('readState', { more: 1 })];
      for (const name of ['quit', 'toString', '__proto__']) {
        await request(name, {}).catch((error: Error) => failures.push(error.message));
      }
      await request('readState', { callback: () => 1 }).catch((error: Error) => failures.push(error.name));
      return failures;
    });
    expect(refused[0]).toMatchObject({ ok: false, error: { code: 'MESSAGE_INVALID' } });
    expect(refused.slice(1, 4)).toEqual([
      'There is no request quit.',
      'There is no request toString.',
      'There is no request __proto__.',
    ]);
    expect(refused).toHaveLength(5);
  });

  it('cannot capture a screen that the app was not asked to share', async () => {
    const name = await app.page.evaluate(() =>
      navigator.mediaDevices.getDisplayMedia({ video: true }).then(
        () => 'captured',
        (error: DOMException) => error.name,
      ),
    );
    expect(name).toBe('NotAllowedError');
  });

  it('cannot go elsewhere, nor open another window', async () => {
    const { page } = app;
    const before = page.url();
    await page.evaluate(() => {
      location.href = 'https://elsewhere.invalid/';
      window.open('https://elsewhere.invalid/');
    });
    await page.getByTestId('server-url').waitFor();
    expect(page.url()).toBe(before);
    await expect.poll(() => page.context().pages().length).toBe(1);
  });

  it('cannot run code that stands in the page, nor load anything from elsewhere', async () => {
    const outcome = await app.page.evaluate(async () => {
      const refused: string[] = [];
      document.addEventListener('securitypolicyviolation', (event) => refused.push(event.violatedDirective));
      const script = document.createElement('script');
      script.textContent = 'window.ran = true';
      document.body.append(script);
      const image = new Image();
      const failed = new Promise((resolve) => image.addEventListener('error', resolve));
      image.src = 'https://elsewhere.invalid/x.png';
      await failed;
      return { hasRun: 'ran' in window, refused };
    });
    expect(outcome).toEqual({ hasRun: false, refused: ['script-src-elem', 'img-src'] });
  });
});

describe('an app whose renderers are killed as soon as they start', () => {
  it('has its page again when that ends, whatever moment of the start they died in', async () => {
    for (let time = 0; time < 3; time++) {
      await app.killRenderer(KILLING_MS);
      await app.page.getByTestId('server-url').waitFor();
    }
  });
});

describe('a second instance', () => {
  it('ends at once and leaves the first one alone', async () => {
    const second = launchDesktop({ display: xvfb.display, userDataDir: join(folder, 'data') });
    await expect(second).rejects.toThrow('did not start');
    expect(await app.page.getByTestId('server-url').isVisible()).toBe(true);
  });
});

describe('an app that was killed', () => {
  it('leaves no process and no profile behind, and starts again', async () => {
    const userDataDir = join(folder, 'killed');
    const killed = await launchDesktop({ display: xvfb.display, userDataDir });
    const pids = [killed.mainPid, ...(await killed.rendererPids())];
    expect(pids.length).toBeGreaterThan(1);
    await killed.kill();
    await killed.close();
    for (const pid of pids) expect(existsSync(`/proc/${pid}`), `process ${pid}`).toBe(false);

    const again = await launchDesktop({ display: xvfb.display, userDataDir });
    await again.page.getByTestId('server-url').waitFor();
    await again.close();
  });
});
