/** `npm start`, once the machine is set up: one URL, first-run credentials, a moving picture, a finished recording. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { launchViewer } from '../harness/chromium.ts';
import { openWall, tileOf } from '../harness/dashboard-driver.ts';
import { TestClient } from '../../relay/testing/test-client.ts';
import { findFreePort } from '../harness/free-port.ts';

const EMAIL = 'admin@example.test';
const ROOT = resolve(import.meta.dirname, '../..');

let dataDir: string;

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'proofcast-start-'));
});
afterAll(() => rm(dataDir, { recursive: true, force: true }));

/** The script in a process group of its own, as a terminal runs it. */
class StartScript {
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown[]>;
  #output = '';

  constructor(ports: { sfu: number }, ...args: string[]) {
    this.#child = spawn(
      process.execPath,
      ['--disable-warning=ExperimentalWarning', 'scripts/start.ts', ...args],
      {
        cwd: ROOT,
        env: {
          ...process.env,
          DATA_DIR: dataDir,
          ADMIN_EMAIL: EMAIL,
          ADMIN_PASSWORD: '',
          SFU_URL: '',
          RELAY_PORT: '0',
          SFU_PORT: String(ports.sfu),
          SFU_MEDIA_PORT: '0',
          SFU_WORKERS: '1',
        },
        // By the channel the script notices when this process is gone.
        stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
        detached: true,
      },
    );
    this.#exited = once(this.#child, 'exit');
    for (const stream of [this.#child.stdout!, this.#child.stderr!]) {
      stream.on('data', (data: Buffer) => (this.#output += data.toString()));
    }
  }

  /** Resolves with the first match in what the script prints; throws when the script ends without it. */
  async untilPrinted(pattern: RegExp): Promise<string> {
    for (;;) {
      const found = pattern.exec(this.#output);
      if (found) return found[1] ?? found[0];
      const isOver = await Promise.race([
        once(this.#child.stdout!, 'data').then(() => false),
        this.#exited.then(() => true),
      ]);
      if (isOver) throw new Error(`The script ended without printing ${String(pattern)}:\n${this.#output}`);
    }
  }

  /** Ctrl-C: the terminal sends it to the whole group. Resolves with the exit code. */
  async interrupt(): Promise<unknown> {
    process.kill(-this.#child.pid!, 'SIGINT');
    return (await this.#exited)[0];
  }
}

describe('npm start', () => {
  let password: string;

  it('ends with a URL at which the demonstration moves, and soon there is a finished recording', async () => {
    const browser = await launchViewer();
    const script = new StartScript({ sfu: await findFreePort() });
    try {
      const url = await script.untilPrinted(/Proofcast is up: (http:\S+)/);
      const email = await script.untilPrinted(/Sign in as (\S+)/);
      expect(email).toBe(EMAIL);
      password = await script.untilPrinted(/Password +(\S+)/);
      await script.untilPrinted(/The demonstration screen is live/);

      const page = await openWall(browser, url, { email, password });
      const client = new TestClient(url);
      await client.call('signIn', { body: { email, password } });
      const [stream] = (await client.call('streams')).streams;
      const tile = tileOf(page, stream!.streamId);
      await tile.waitForPath('webrtc');
      await page.waitForFunction(
        (selector) => (document.querySelector<HTMLVideoElement>(selector)?.currentTime ?? 0) > 1,
        tile.video,
      );

      await script.untilPrinted(/A recording is ready to be played/);
      await expect
        .poll(async () => (await client.call('recordings')).recordings.map(({ state }) => state), {
          timeout: 30_000,
        })
        .toEqual(['recording', 'sealed']);
    } finally {
      await browser.close();
      expect(await script.interrupt()).toBe(0);
    }
  });

  it('starts again on the same data, where Ctrl-C has sealed what was running', async () => {
    const script = new StartScript({ sfu: await findFreePort() }, '--no-demo');
    try {
      const url = await script.untilPrinted(/Proofcast is up: (http:\S+)/);
      await script.untilPrinted(/with the password of the first start/);
      const client = new TestClient(url);
      await client.call('signIn', { body: { email: EMAIL, password } });
      await expect
        .poll(async () => (await client.call('recordings')).recordings.map(({ state }) => state), {
          timeout: 30_000,
        })
        .toEqual(['sealed', 'sealed']);
    } finally {
      expect(await script.interrupt()).toBe(0);
    }
  });
});
