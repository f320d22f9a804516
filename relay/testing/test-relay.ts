/** The real relay in this process: any free port, a temporary data directory, and a clock that a test may hold. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createId, type Id, type Role } from '@proofcast/shared';
import { readConfig, type Environment, type RelayConfig } from '../src/config.ts';
import { systemMediaClock, type MediaClock } from '../src/media-clock.ts';
import { startRelay, type Relay } from '../src/server.ts';
import { TestClient } from './test-client.ts';

export const ADMIN = { email: 'admin@example.test', password: 'correct horse battery staple' };
const PASSWORD = 'a password for tests';

export interface TestRelayOptions {
  readonly env?: Environment;
  readonly clock?: MediaClock;
  readonly limits?: Partial<RelayConfig['limits']>;
  readonly mediaLimits?: Partial<RelayConfig['mediaLimits']>;
}

export interface TestRelay {
  /** The one that runs now. */
  relay: Relay;
  readonly dataDir: string;
  /** Of the company that the first run made. */
  readonly companyId: Id;
  /** A client that nobody has signed in with. */
  client(): TestClient;
  signInAdmin(): Promise<TestClient>;
  /** A new user of the company, or of another one, signed in. */
  signInAs(role: Role, companyId?: Id): Promise<TestClient>;
  createCompany(name: string): Promise<Id>;
  /** Closes the relay and starts it again on the same data. */
  restart(): Promise<void>;
  close(): Promise<void>;
}

export async function startTestRelay(options: TestRelayOptions = {}): Promise<TestRelay> {
  const dataDir = await mkdtemp(join(tmpdir(), 'proofcast-relay-'));
  const start = () => startOn(dataDir, options);
  const relay = await start();
  const company = await relay.identity.companies.first();
  if (!company) throw new Error('The first run has made no company.');
  const testRelay: TestRelay = {
    relay,
    dataDir,
    companyId: company.companyId,
    client: () => new TestClient(testRelay.relay.url),
    async signInAdmin() {
      const client = testRelay.client();
      await client.call('signIn', { body: ADMIN });
      return client;
    },
    async signInAs(role, companyId = company.companyId) {
      const email = `${createId('user')}@example.test`;
      const user = { companyId, email, role, name: `The ${role}`, password: PASSWORD };
      await testRelay.relay.identity.users.create(user);
      const client = testRelay.client();
      await client.call('signIn', { body: { email, password: PASSWORD } });
      return client;
    },
    async createCompany(name) {
      return (await testRelay.relay.identity.companies.create(name)).companyId;
    },
    async restart() {
      await testRelay.relay.close();
      testRelay.relay = await start();
    },
    async close() {
      await testRelay.relay.close();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
  return testRelay;
}

function startOn(dataDir: string, { env, clock = systemMediaClock, limits, mediaLimits }: TestRelayOptions) {
  const config = readConfig({
    RELAY_PORT: '0',
    DATA_DIR: dataDir,
    ADMIN_EMAIL: ADMIN.email,
    ADMIN_PASSWORD: ADMIN.password,
    LOG_LEVEL: 'silent',
    ...env,
  });
  const changed = {
    limits: { ...config.limits, ...limits },
    mediaLimits: { ...config.mediaLimits, ...mediaLimits },
  };
  return startRelay({ ...config, ...changed }, { clock });
}
