/** The relay as a process of its own, without an SFU: for what happens to it and to its disk. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TestClient } from '../../relay/testing/test-client.ts';
import { startService, type ServiceProcess } from '../../scripts/service-process.ts';

export interface LoneRelay {
  readonly dataDir: string;
  /** Of the process that runs now. */
  readonly url: string;
  /** A client that nobody has signed in with. */
  client(): TestClient;
  signInAdmin(): Promise<TestClient>;
  /** kill −9; resolves when the process is gone. */
  kill(): Promise<void>;
  /** Another process on the same data, after the one before was killed. */
  start(): Promise<void>;
  /** Ends it in order, unless it was killed, and removes its data unless they are somebody else's. Idempotent. */
  close(): Promise<void>;
}

const ADMIN = { email: 'admin@example.test', password: 'correct horse battery staple' };

/** `dataDir`: a folder that is the caller's; otherwise there is one for the time being. */
export async function startLoneRelay({
  dataDir: givenDir,
  env = {},
}: { dataDir?: string; env?: Readonly<Record<string, string>> } = {}): Promise<LoneRelay> {
  const dataDir = givenDir ?? (await mkdtemp(join(tmpdir(), 'proofcast-lone-relay-')));
  const startProcess = () =>
    startService({
      entry: 'relay/src/main.ts',
      env: {
        RELAY_PORT: '0',
        DATA_DIR: dataDir,
        ADMIN_EMAIL: ADMIN.email,
        ADMIN_PASSWORD: ADMIN.password,
        ...env,
      },
    });
  const removeData = () =>
    givenDir === undefined ? rm(dataDir, { recursive: true, force: true }) : Promise.resolve();
  let current: ServiceProcess;
  try {
    current = await startProcess();
  } catch (error) {
    await removeData();
    throw error;
  }
  let isRunning = true;
  const client = () => new TestClient(current.url);
  return {
    dataDir,
    get url() {
      return current.url;
    },
    client,
    async signInAdmin() {
      const admin = client();
      await admin.call('signIn', { body: ADMIN });
      return admin;
    },
    async kill() {
      isRunning = false;
      await current.kill();
    },
    async start() {
      current = await startProcess();
      isRunning = true;
    },
    async close() {
      try {
        if (isRunning) await current.stop();
      } finally {
        isRunning = false;
        await removeData();
      }
    },
  };
}
