/** The relay as its users run it, in a process of its own with a temporary data directory, and the way in. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startService, type ServiceProcess } from '../../scripts/service-process.ts';
import { TestClient } from '../../relay/testing/test-client.ts';

const ADMIN = { email: 'admin@example.test', password: 'correct horse battery staple' };

export interface BenchRelay {
  readonly url: string;
  readonly pid: number;
  readonly dataDir: string;
  /** Where V8's inspector of the process listens; null unless it was asked for. */
  readonly inspectorUrl: string | null;
  /** Ends it as an operator does: recordings that run stay open, and are not sealed. Idempotent. */
  close(): Promise<void>;
}

export async function startBenchRelay({ isInspected = false } = {}): Promise<BenchRelay> {
  const dataDir = await mkdtemp(join(tmpdir(), 'proofcast-bench-'));
  let inspectorUrl: string | null = null;
  const nodeOptions = process.env['NODE_OPTIONS'] ?? '';
  let service: ServiceProcess;
  try {
    service = await startService({
      entry: 'relay/src/main.ts',
      env: {
        RELAY_PORT: '0',
        DATA_DIR: dataDir,
        ADMIN_EMAIL: ADMIN.email,
        ADMIN_PASSWORD: ADMIN.password,
        LOG_LEVEL: 'warn',
        // One user watches as often as a benchmark has viewers.
        MAX_VIEW_CONNECTIONS_PER_USER: '100000',
        NODE_OPTIONS: isInspected ? `${nodeOptions} --inspect=127.0.0.1:0` : nodeOptions,
      },
      onLine: (line) => (inspectorUrl ??= /^Debugger listening on (ws:\S+)$/.exec(line)?.[1] ?? null),
    });
  } catch (error) {
    await rm(dataDir, { recursive: true, force: true });
    throw error;
  }
  if (isInspected && inspectorUrl === null) throw new Error('The relay did not tell where its inspector is.');
  let closing: Promise<void> | null = null;
  return {
    url: service.url,
    pid: service.pid,
    dataDir,
    inspectorUrl,
    close: () => (closing ??= endService(service, dataDir)),
  };
}

/** A client of the admin of a `BenchRelay`, also from another process. */
export async function signInAdmin(relayUrl: string): Promise<TestClient> {
  const client = new TestClient(relayUrl);
  await client.call('signIn', { body: ADMIN });
  return client;
}

async function endService(service: ServiceProcess, dataDir: string): Promise<void> {
  try {
    await service.stop();
  } finally {
    await service.kill();
    await rm(dataDir, { recursive: true, force: true });
  }
}
