import { DEFAULT_LIMITS, readConfig, type SfuConfig, type SfuLimits } from '../src/config.ts';
import { startSfu, type Sfu } from '../src/server.ts';
import { SignalingClient } from './signaling-client.ts';
import { TokenIssuer, writeKeyFile } from './token-issuer.ts';

export interface RunningSfu {
  readonly sfu: Sfu;
  readonly issuer: TokenIssuer;
  /** Connects and authenticates; `stop` closes what is still open. */
  connect(token?: string): Promise<SignalingClient>;
  stop(): Promise<void>;
}

/** A configuration with free ports, one worker and no log. */
export function testConfig(
  overrides: Partial<Omit<SfuConfig, 'limits'>> & { limits?: Partial<SfuLimits> } = {},
): SfuConfig {
  const defaults = readConfig({ SFU_PORT: '0', SFU_MEDIA_PORT: '0', SFU_WORKERS: '1', LOG_LEVEL: 'silent' });
  return { ...defaults, ...overrides, limits: { ...DEFAULT_LIMITS, ...overrides.limits } };
}

/** The real SFU in this process, which trusts the tokens of a new issuer. */
export async function runSfu(overrides: Parameters<typeof testConfig>[0] = {}): Promise<RunningSfu> {
  const issuer = await TokenIssuer.create();
  const keyFile = await writeKeyFile(issuer);
  const sfu = await startSfu(testConfig({ keySource: { kind: 'file', path: keyFile.path }, ...overrides }));
  const clients: SignalingClient[] = [];
  return {
    sfu,
    issuer,
    async connect(token) {
      const client = await SignalingClient.connect(sfu.url, token);
      clients.push(client);
      return client;
    },
    async stop() {
      await Promise.all(clients.map((client) => client.close()));
      await sfu.close();
      await keyFile.remove();
    },
  };
}
