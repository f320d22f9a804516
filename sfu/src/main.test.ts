import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { createId } from '@proofcast/shared';
import { isProcessAlive } from '@proofcast/shared/testing/processes';
import { afterEach, expect, it } from 'vitest';
import { viewOf } from '../testing/rtp-parameters.ts';
import { SignalingClient } from '../testing/signaling-client.ts';
import { TokenIssuer, writeKeyFile } from '../testing/token-issuer.ts';

const MAIN = fileURLToPath(new URL('main.ts', import.meta.url));

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

interface LogLine {
  readonly level: number;
  readonly msg: string;
  readonly url?: string;
  readonly reason?: string;
  readonly workerPid?: number;
}

/** The SFU as a process of its own, with free ports, and its log line by line. */
function start(env: Record<string, string>): {
  child: ChildProcess;
  logged: (msg: string) => Promise<LogLine>;
} {
  const child = spawn(process.execPath, [MAIN], {
    env: { ...process.env, SFU_PORT: '0', SFU_MEDIA_PORT: '0', SFU_WORKERS: '1', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  cleanups.push(() => child.kill('SIGKILL'));
  const lines: LogLine[] = [];
  const reader = createInterface({ input: child.stdout });
  reader.on('line', (line) => lines.push(JSON.parse(line)));
  const logged = async (msg: string): Promise<LogLine> => {
    for (;;) {
      const found = lines.find((line) => line.msg === msg);
      if (found) return found;
      await once(reader, 'line');
    }
  };
  return { child, logged };
}

it.each(['SIGTERM', 'SIGINT'] as const)(
  '[S11] says where it listens; on %s it tells its clients, ends its workers and exits with 0',
  async (signal) => {
    const issuer = await TokenIssuer.create();
    const keyFile = await writeKeyFile(issuer);
    cleanups.push(keyFile.remove);
    const { child, logged } = start({ TOKEN_JWKS_FILE: keyFile.path });
    const { workerPid = 0 } = await logged('media worker started');
    const { url = '', level } = await logged('listening');
    expect(level).toBe(30);
    const streamId = createId('stream');
    const publisher = await SignalingClient.connect(url, await issuer.publisher(streamId));
    await publisher.request('publish', { streamId });
    const viewer = await SignalingClient.connect(url, await issuer.viewer());
    await viewer.request('view', viewOf(streamId));
    const exited = once(child, 'exit');
    child.kill(signal);
    for (const client of [publisher, viewer]) {
      expect(await client.next('streamClosed')).toEqual({ streamId, code: 'SHUTTING_DOWN' });
      expect((await client.closed).code).toBe(4503);
    }
    expect(await exited).toEqual([0, null]);
    expect(isProcessAlive(workerPid)).toBe(false);
  },
);

it('exits with 1 and one line that names the variable when a setting makes no sense', async () => {
  const { child, logged } = start({ SFU_WORKERS: 'many' });
  expect(await logged('cannot start')).toMatchObject({
    level: 60,
    reason: expect.stringContaining('SFU_WORKERS=many'),
  });
  expect(child.exitCode ?? (await once(child, 'exit'))[0]).toBe(1);
});

it('exits with 1 when the worker cannot be started', async () => {
  const { child, logged } = start({ MEDIASOUP_WORKER_BIN: '/nowhere/mediasoup-worker' });
  expect(await logged('cannot start')).toMatchObject({
    level: 60,
    reason: expect.stringContaining('ENOENT'),
  });
  expect(child.exitCode ?? (await once(child, 'exit'))[0]).toBe(1);
});

it('dies with its worker when it is killed', async () => {
  const { child, logged } = start({ TOKEN_JWKS_FILE: '/nowhere/jwks.json' });
  const { workerPid = 0 } = await logged('media worker started');
  await logged('listening');
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
  await expect.poll(() => isProcessAlive(workerPid), { timeout: 10_000 }).toBe(false);
});
