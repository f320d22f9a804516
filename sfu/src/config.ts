/** The settings of the SFU. This file is the only reader of the environment; docs/operations.md lists the variables. */
import { isIP } from 'node:net';
import { availableParallelism } from 'node:os';
import {
  SFU_AUTHENTICATION_TIMEOUT_MS,
  SFU_MAX_MESSAGE_BYTES,
  type ReconnectLimits,
} from '@proofcast/shared';
import type { TurnSettings } from './turn-credentials.ts';

const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
type LogLevel = (typeof LOG_LEVELS)[number];

/** Where the public keys of the relay come from. */
export type KeySource =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'url'; readonly url: string };

export interface SfuConfig {
  readonly host: string;
  /** 0 = any free port. */
  readonly port: number;
  /** The address that media arrives at. */
  readonly mediaAddress: string;
  /** The address that clients are told to send media to, when it is not `mediaAddress` (NAT, cloud, container). */
  readonly announcedAddress: string | undefined;
  /** Worker n takes UDP and TCP port `mediaPort + n`; 0 = any free port. */
  readonly mediaPort: number;
  readonly workerCount: number;
  readonly keySource: KeySource;
  readonly turn: TurnSettings;
  /** What a program has to send to read metrics and statistics; null: it has to run on this machine. */
  readonly metricsToken: string | null;
  readonly logLevel: LogLevel;
  readonly limits: SfuLimits;
}

export interface SfuLimits {
  /** One websocket each. */
  readonly maxConnections: number;
  /** Streams that one connection may publish and view at a time: a wall of 64 tiles, and some to spare. */
  readonly maxStreamsPerConnection: number;
  readonly maxViewersPerStream: number;
  /** Viewers of one stream that one worker, hence one CPU core, serves before another one takes part. */
  readonly maxViewersPerRouter: number;
  /** How much more than the least busy worker the one with a company's streams may have to do and still get the next. */
  readonly companyAffinitySlack: number;
  /** How long a publisher goes on sending after its last viewer. */
  readonly audienceLingerMs: number;
  /** How long viewers of a stream whose worker has died wait for its publisher. */
  readonly rebuildWaitMs: number;

  readonly authenticationTimeoutMs: number;
  readonly maxMessageBytes: number;
  /** Joining one stream takes three requests, and a wall of 64 tiles joins all of them at once. */
  readonly requestBurst: number;
  readonly requestsPerSecond: number;
  /** Requests of one connection that wait for their answer. */
  readonly maxPendingRequests: number;
  /** Answers and notifications that a client has not taken yet. */
  readonly maxUnsentBytes: number;
  /** A client that has not answered a ping when the next one is due is gone. */
  readonly heartbeatIntervalMs: number;
  /** How long a peer may take to answer a close frame. */
  readonly closeTimeoutMs: number;

  /** Ports that are tried when any free one may be taken: one that was free a moment ago may be free no longer. */
  readonly mediaPortAttempts: number;
  /** How long `publish` waits for a worker while all of them are being replaced. */
  readonly workerWaitMs: number;
  readonly workerPingIntervalMs: number;
  /** A worker that does not answer for so long hangs, and is replaced. */
  readonly workerPingTimeoutMs: number;
  readonly workerCloseTimeoutMs: number;
  /** A worker that has lived so long is replaced at once when it dies: this alone keeps it from becoming a busy loop. */
  readonly workerHealthyAfterMs: number;
  /** Between attempts to replace one that has not lived so long, or did not even start. */
  readonly workerRestart: ReconnectLimits;

  readonly keyRefreshIntervalMs: number;
  /** Between attempts to load the keys while that fails. */
  readonly keyRetry: ReconnectLimits;
  /** The least time between two loads because of an unknown key id, which anybody may make up. */
  readonly keyCooldownMs: number;
  readonly keyLoadTimeoutMs: number;
  readonly maxKeySetBytes: number;

  /** Between two rounds of asking the workers what they send. */
  readonly statisticsIntervalMs: number;
  /** Pictures that are asked about in one round, and how many of them at the same time. */
  readonly maxSamplesPerSweep: number;
  readonly concurrentSamples: number;

  /** A process that has not ended in order by then ends without. */
  readonly shutdownTimeoutMs: number;
}

export const DEFAULT_LIMITS: SfuLimits = {
  maxConnections: 5_000,
  maxStreamsPerConnection: 100,
  maxViewersPerStream: 2_000,
  maxViewersPerRouter: 200,
  companyAffinitySlack: 100,
  audienceLingerMs: 5_000,
  rebuildWaitMs: 3_000,

  authenticationTimeoutMs: SFU_AUTHENTICATION_TIMEOUT_MS,
  maxMessageBytes: SFU_MAX_MESSAGE_BYTES,
  requestBurst: 600,
  requestsPerSecond: 100,
  maxPendingRequests: 400,
  maxUnsentBytes: 4 * 1024 * 1024,
  heartbeatIntervalMs: 10_000,
  closeTimeoutMs: 2_000,

  mediaPortAttempts: 20,
  workerWaitMs: 5_000,
  workerPingIntervalMs: 2_000,
  workerPingTimeoutMs: 5_000,
  workerCloseTimeoutMs: 2_000,
  workerHealthyAfterMs: 200,
  workerRestart: { initialDelayMs: 100, maxDelayMs: 5_000 },

  keyRefreshIntervalMs: 5 * 60_000,
  keyRetry: { initialDelayMs: 250, maxDelayMs: 5_000 },
  keyCooldownMs: 2_000,
  keyLoadTimeoutMs: 5_000,
  maxKeySetBytes: 64 * 1024,

  statisticsIntervalMs: 5_000,
  maxSamplesPerSweep: 500,
  concurrentSamples: 16,

  shutdownTimeoutMs: 10_000,
};

type Environment = Readonly<Record<string, string | undefined>>;

/** Throws an error that names the variable and what it may be. */
export function readConfig(env: Environment): SfuConfig {
  const mediaAddress = readMediaAddress(env);
  const announcedAddress = env['SFU_ANNOUNCED_ADDRESS'] || undefined;
  if (isUnspecified(mediaAddress) && !announcedAddress) {
    throw new Error(
      `Cannot start with SFU_MEDIA_ADDRESS=${mediaAddress} alone: clients cannot send to it. Set SFU_ANNOUNCED_ADDRESS to the address at which they reach this machine.`,
    );
  }
  const workerCount = readInteger(env, 'SFU_WORKERS', availableParallelism(), { min: 1, max: 256 });
  const mediaPort = readInteger(env, 'SFU_MEDIA_PORT', 44_400, { min: 0, max: 65_535 });
  if (mediaPort + workerCount - 1 > 65_535) {
    throw new Error(`Cannot start: SFU_MEDIA_PORT=${mediaPort} leaves no ports for ${workerCount} workers.`);
  }
  return {
    host: env['SFU_HOST'] || '127.0.0.1',
    port: readInteger(env, 'SFU_PORT', 8081, { min: 0, max: 65_535 }),
    mediaAddress,
    announcedAddress,
    mediaPort,
    workerCount,
    keySource: readKeySource(env),
    turn: readTurn(env),
    metricsToken: readMetricsToken(env),
    logLevel: readLogLevel(env),
    limits: readLimits(env),
  };
}

function readMediaAddress(env: Environment): string {
  const address = env['SFU_MEDIA_ADDRESS'] || '127.0.0.1';
  if (isIP(address) === 0) {
    throw new Error(`Cannot use SFU_MEDIA_ADDRESS=${address}: it is not an IP address of this machine.`);
  }
  return address;
}

function isUnspecified(address: string): boolean {
  return /^[0.:]+$/.test(address);
}

function readKeySource(env: Environment): KeySource {
  const path = env['TOKEN_JWKS_FILE'];
  if (path) return { kind: 'file', path };
  const url = env['TOKEN_JWKS_URL'] || 'http://127.0.0.1:8080/.well-known/jwks.json';
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
    throw new Error(`Cannot use TOKEN_JWKS_URL=${url}: it is not an http or https URL.`);
  }
  return { kind: 'url', url };
}

/** Short secrets can be guessed from one credential, which every client sees. */
const MIN_TURN_SECRET_LENGTH = 16;

function readTurn(env: Environment): TurnSettings {
  const urls = (env['TURN_URLS'] || '').split(/[\s,]+/).filter(Boolean);
  const secret = env['TURN_SECRET'] || '';
  for (const url of urls) {
    if (!/^turns?:[^/?\s]+(\?transport=(udp|tcp))?$/.test(url)) {
      throw new Error(
        `Cannot use TURN_URLS: ${url} is not turn:host[:port] or turns:host[:port], with ?transport=udp or tcp.`,
      );
    }
  }
  if (urls.length > 0 && secret.length < MIN_TURN_SECRET_LENGTH) {
    throw new Error(
      `Cannot use TURN_URLS without a TURN_SECRET of ${MIN_TURN_SECRET_LENGTH} characters or more, the static-auth-secret of the TURN servers.`,
    );
  }
  return { urls, secret, ttlS: readInteger(env, 'TURN_TTL_S', 3_600, { min: 60, max: 86_400 }) };
}

function readMetricsToken(env: Environment): string | null {
  const token = env['METRICS_TOKEN'];
  if (!token) return null;
  if (/^\S{16,}$/.test(token)) return token;
  throw new Error('Cannot use METRICS_TOKEN: it needs 16 characters or more, without spaces.');
}

function readLogLevel(env: Environment): LogLevel {
  const text = env['LOG_LEVEL'] || 'info';
  const level = LOG_LEVELS.find((known) => known === text);
  if (!level) throw new Error(`Cannot use LOG_LEVEL=${text}: it is one of ${LOG_LEVELS.join(', ')}.`);
  return level;
}

function readLimits(env: Environment): SfuLimits {
  const positive = { min: 1, max: 1_000_000 };
  return {
    ...DEFAULT_LIMITS,
    maxConnections: readInteger(env, 'SFU_MAX_CONNECTIONS', DEFAULT_LIMITS.maxConnections, positive),
    maxStreamsPerConnection: readInteger(
      env,
      'SFU_MAX_STREAMS_PER_CONNECTION',
      DEFAULT_LIMITS.maxStreamsPerConnection,
      positive,
    ),
    maxViewersPerStream: readInteger(
      env,
      'SFU_MAX_VIEWERS_PER_STREAM',
      DEFAULT_LIMITS.maxViewersPerStream,
      positive,
    ),
    maxViewersPerRouter: readInteger(
      env,
      'SFU_MAX_VIEWERS_PER_ROUTER',
      DEFAULT_LIMITS.maxViewersPerRouter,
      positive,
    ),
  };
}

function readInteger(
  env: Environment,
  name: string,
  fallback: number,
  range: { min: number; max: number },
): number {
  const text = env[name];
  if (!text) return fallback;
  const value = Number(text);
  if (!Number.isInteger(value) || value < range.min || value > range.max) {
    throw new Error(`Cannot use ${name}=${text}: it is a whole number from ${range.min} to ${range.max}.`);
  }
  return value;
}
