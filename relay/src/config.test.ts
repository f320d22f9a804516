import { isAbsolute } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readConfig } from './config.ts';

describe('readConfig', () => {
  it('has a default for everything', () => {
    const config = readConfig({});
    expect(config).toMatchObject({
      host: '127.0.0.1',
      port: 8080,
      companyName: 'My company',
      adminEmail: 'admin@proofcast.local',
      adminPassword: null,
      sfuUrl: null,
      sfuPort: 8081,
      reconnectGraceMs: 60_000,
      secureCookies: 'auto',
      trustProxy: false,
      logLevel: 'info',
      metricsToken: null,
      ffmpegPath: 'ffmpeg',
    });
    expect(isAbsolute(config.dataDir)).toBe(true);
    expect(config.dashboardDir).toMatch(/[\\/]dashboard[\\/]dist$/);
  });

  it('takes an empty variable as one that is not set', () => {
    expect(readConfig({ RELAY_PORT: '', DATA_DIR: ' ', ADMIN_PASSWORD: '', SFU_URL: '' })).toEqual(
      readConfig({}),
    );
  });

  it('reads every variable', () => {
    const config = readConfig({
      RELAY_HOST: '0.0.0.0',
      RELAY_PORT: '0',
      DATA_DIR: '/var/lib/proofcast',
      DASHBOARD_DIR: '/usr/share/proofcast',
      COMPANY_NAME: 'Acme',
      ADMIN_EMAIL: 'boss@acme.test',
      ADMIN_PASSWORD: ' spaces are part of it ',
      SFU_URL: 'wss://sfu.acme.test/',
      SFU_PORT: '9000',
      RECONNECT_GRACE_MS: '1000',
      SECURE_COOKIES: 'on',
      TRUST_PROXY: 'loopback, 10.0.0.0/8, ::1',
      LOG_LEVEL: 'debug',
      METRICS_TOKEN: 'a-token-of-the-monitoring',
      FFMPEG_PATH: '/opt/ffmpeg',
      SESSION_LIFETIME_MS: '60000',
      WARN_FREE_BYTES: '2000',
      MIN_FREE_BYTES: '1000',
      CONCURRENT_SEALS: '2',
      FFMPEG_TIMEOUT_MS: '5000',
    });
    expect(config).toMatchObject({
      host: '0.0.0.0',
      port: 0,
      dataDir: '/var/lib/proofcast',
      dashboardDir: '/usr/share/proofcast',
      companyName: 'Acme',
      adminEmail: 'boss@acme.test',
      adminPassword: ' spaces are part of it ',
      sfuUrl: 'wss://sfu.acme.test',
      sfuPort: 9000,
      reconnectGraceMs: 1000,
      secureCookies: 'on',
      trustProxy: ['loopback', '10.0.0.0/8', '::1'],
      logLevel: 'debug',
      metricsToken: 'a-token-of-the-monitoring',
      ffmpegPath: '/opt/ffmpeg',
      limits: { sessionLifetimeMs: 60_000 },
      mediaLimits: { warnFreeBytes: 2000, minFreeBytes: 1000, concurrentSeals: 2, ffmpegTimeoutMs: 5000 },
    });
  });

  it.each([
    ['RELAY_PORT', '65536'],
    ['RELAY_PORT', '80a'],
    ['SFU_PORT', '-1'],
    ['RECONNECT_GRACE_MS', '1e3'],
    ['SESSION_LIFETIME_MS', '1'],
    ['CONCURRENT_SEALS', '0'],
    ['ADMIN_EMAIL', 'nobody'],
    ['ADMIN_PASSWORD', 'too short'],
    ['COMPANY_NAME', 'x'.repeat(121)],
    ['SFU_URL', 'http://sfu.acme.test'],
    ['SFU_URL', 'wss://sfu.acme.test?a=b'],
    ['SECURE_COOKIES', 'maybe'],
    ['TRUST_PROXY', 'everybody'],
    ['LOG_LEVEL', 'loud'],
  ])('names the variable when it refuses %s=%s', (name, value) => {
    expect(() => readConfig({ [name]: value })).toThrow(new RegExp(`^Cannot use ${name}\\b`));
  });

  it('does not repeat a password that it refuses', () => {
    expect(() => readConfig({ ADMIN_PASSWORD: 'too short' })).toThrow(/^(?!.*too short)/);
  });
});
