/** Relay and SFU as real processes of their own, on free ports, with a temporary data directory. */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startService, type ServiceProcess } from '../../scripts/service-process.ts';

export interface Services {
  relay: ServiceProcess;
  sfu: ServiceProcess;
  readonly dataDir: string;
  readonly admin: { readonly email: string; readonly password: string };
  /** The relay again on the same port and data, after it was stopped or killed. */
  restartRelay(): Promise<void>;
  close(): Promise<void>;
}

export async function startServices(relayEnv: Record<string, string> = {}): Promise<Services> {
  const dataDir = await mkdtemp(join(tmpdir(), 'proofcast-services-'));
  const admin = { email: 'admin@example.test', password: 'correct horse battery staple' };
  const relayPort = await findFreePort();
  const sfu = await startService({
    entry: 'sfu/src/main.ts',
    env: {
      SFU_PORT: '0',
      SFU_MEDIA_PORT: '0',
      SFU_WORKERS: '1',
      TOKEN_JWKS_URL: `http://127.0.0.1:${relayPort}/.well-known/jwks.json`,
    },
  });
  const startRelay = () =>
    startService({
      entry: 'relay/src/main.ts',
      env: {
        RELAY_PORT: String(relayPort),
        DATA_DIR: dataDir,
        ADMIN_EMAIL: admin.email,
        ADMIN_PASSWORD: admin.password,
        SFU_URL: sfu.url.replace('http', 'ws'),
        ...relayEnv,
      },
    });
  const relay = await startRelay().catch(async (error: unknown) => {
    await sfu.stop();
    await rm(dataDir, { recursive: true, force: true });
    throw error;
  });
  const services: Services = {
    relay,
    sfu,
    dataDir,
    admin,
    async restartRelay() {
      services.relay = await startRelay();
    },
    async close() {
      const stopped = await Promise.allSettled([services.relay.stop(), services.sfu.stop()]);
      await rm(dataDir, { recursive: true, force: true });
      for (const result of stopped) if (result.status === 'rejected') throw result.reason;
    },
  };
  return services;
}

/** A port that was free a moment ago, for services that must know one another's address before they start. */
export async function findFreePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (typeof address !== 'object' || address === null)
    throw new Error('The probe for a free port has no address.');
  return address.port;
}
