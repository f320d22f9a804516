/** Relay and SFU as real processes of their own, on free ports, with a temporary data directory. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SfuStatistics } from '../../sfu/src/statistics.ts';
import { startService, type ServiceProcess } from '../../scripts/service-process.ts';
import { findFreePort } from './free-port.ts';

export interface Services {
  relay: ServiceProcess;
  sfu: ServiceProcess;
  readonly dataDir: string;
  readonly admin: { readonly email: string; readonly password: string };
  /** The relay again on the same port and data, after it was stopped or killed. */
  restartRelay(): Promise<void>;
  /** The SFU again on the same ports, its worker's included, after it was stopped or killed. */
  restartSfu(): Promise<void>;
  /** What the SFU tells operators about its streams at the moment. */
  sfuStatistics(): Promise<SfuStatistics>;
  close(): Promise<void>;
}

export async function startServices(relayEnv: Record<string, string> = {}): Promise<Services> {
  const dataDir = await mkdtemp(join(tmpdir(), 'proofcast-services-'));
  const admin = { email: 'admin@example.test', password: 'correct horse battery staple' };
  const [relayPort, sfuPort, mediaPort] = [await findFreePort(), await findFreePort(), await findFreePort()];
  const startSfu = () =>
    startService({
      entry: 'sfu/src/main.ts',
      env: {
        SFU_PORT: String(sfuPort),
        SFU_MEDIA_PORT: String(mediaPort),
        SFU_WORKERS: '1',
        TOKEN_JWKS_URL: `http://127.0.0.1:${relayPort}/.well-known/jwks.json`,
      },
    });
  const sfu = await startSfu();
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
    async restartSfu() {
      services.sfu = await startSfu();
    },
    async sfuStatistics() {
      const response = await fetch(new URL('/statistics', services.sfu.url));
      if (!response.ok) throw new Error(`The SFU answered ${response.status} when asked for statistics.`);
      return (await response.json()) as SfuStatistics;
    },
    async close() {
      const stopped = await Promise.allSettled([services.relay.stop(), services.sfu.stop()]);
      await rm(dataDir, { recursive: true, force: true });
      for (const result of stopped) if (result.status === 'rejected') throw result.reason;
    },
  };
  return services;
}
