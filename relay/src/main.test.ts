import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RelayProcesses } from '../testing/relay-process.ts';
import { TestClient } from '../testing/test-client.ts';

let dataDir: string;
const processes = new RelayProcesses();

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'proofcast-main-'));
});
afterEach(async () => {
  processes.killAll();
  await rm(dataDir, { recursive: true, force: true });
});

const run = (env: Record<string, string> = {}, options: { channel?: boolean } = {}) =>
  processes.start(dataDir, env, options);

describe('the relay as a process', () => {
  it('says where it listens, prints the first password once, and ends with 0 on a signal', async () => {
    const first = run({ LOG_LEVEL: 'error' });
    const url = await first.url;
    const password = /password {2}(\S+)/.exec(first.output())?.[1] ?? '';
    const body = { email: 'admin@proofcast.local', password };
    await new TestClient(url).call('signIn', { body });
    first.child.kill('SIGTERM');
    expect(await first.exit).toEqual([0, null]);

    const second = run();
    await second.url;
    expect(second.output()).not.toContain('password');
    second.child.kill('SIGINT');
    expect(await second.exit).toEqual([0, null]);
  });

  it('does not print a password that was given to it', async () => {
    const process = run({ ADMIN_PASSWORD: 'given from outside' });
    await process.url;
    process.child.kill('SIGTERM');
    await process.exit;
    expect(process.output()).not.toContain('given from outside');
  });

  it('names the variable and ends with 1 when the environment is wrong', async () => {
    const process = run({ RELAY_PORT: 'eighty' });
    expect(await process.exit).toEqual([1, null]);
    expect(process.output()).toBe(
      'Cannot use RELAY_PORT=eighty: it is not a whole number from 0 to 65535.\n',
    );
  });

  it('says why and ends with 1 when it cannot start', async () => {
    const process = run({ RELAY_HOST: '192.0.2.1' });
    expect(await process.exit).toEqual([1, null]);
    expect(process.output()).toContain('EADDRNOTAVAIL');
  });

  it('ends when whoever started it with a channel is gone', async () => {
    const process = run({}, { channel: true });
    await process.url;
    process.child.disconnect();
    expect(await process.exit).toEqual([0, null]);
  });

  it('writes files that no other account of the machine can read', async () => {
    const process = run();
    await process.url;
    process.child.kill('SIGKILL');
    await process.exit;
    const names = await readdir(dataDir, { recursive: true });
    expect(names).toContain('proofcast.sqlite');
    for (const name of names)
      expect([name, (await stat(join(dataDir, name))).mode & 0o077]).toEqual([name, 0]);
  });

  it('starts again on the same data after it was killed, with the same key', async () => {
    const first = run();
    const jwks = await (await fetch(`${await first.url}/.well-known/jwks.json`)).text();
    first.child.kill('SIGKILL');
    await first.exit;
    const second = run();
    expect(await (await fetch(`${await second.url}/.well-known/jwks.json`)).text()).toBe(jwks);
    second.child.kill('SIGTERM');
    expect(await second.exit).toEqual([0, null]);
  });
});
