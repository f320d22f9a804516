/** The only reader of the relay's environment. Every variable is described in docs/operations.md. */
import { resolve } from 'node:path';
import { isIP } from 'node:net';
import { RELAY_ROUTES } from '@proofcast/shared';
import { Value } from 'typebox/value';
import { DEFAULT_MEDIA_LIMITS, type MediaLimits } from './media-limits.ts';

/** How often something may be done: `count` times at once, and as many again in the course of `perMs`. */
export interface RateLimit {
  readonly count: number;
  readonly perMs: number;
}

/** The named limits of identity and HTTP; those of the media half are in media-limits.ts. */
export interface RelayLimits {
  readonly sessionLifetimeMs: number;
  /** Of the tokens for SFU and ingest. */
  readonly tokenLifetimeMs: number;
  readonly ticketLifetimeMs: number;
  /** Tickets of one session that may be outstanding; one more makes the oldest invalid. */
  readonly maxTicketsPerSession: number;
  readonly enrolmentCodeLifetimeMs: number;
  readonly maxAssertionLifetimeMs: number;
  /** How far the clocks of a device and of the relay may lie apart when an assertion is judged. */
  readonly maxAssertionClockSkewMs: number;

  /** Request bodies; larger ones are refused with `MESSAGE_TOO_LARGE` before they are parsed. */
  readonly maxBodyBytes: number;
  /** A request that has not arrived whole by then is cut off. */
  readonly requestTimeoutMs: number;
  /** Passwords that are hashed at once, see identity/passwords.ts. */
  readonly passwordConcurrency: number;
  /** Sign-ins that may wait for that; beyond, they are refused with `UNAVAILABLE`. */
  readonly maxWaitingSignIns: number;

  /** Failed attempts; beyond any of these limits comes `TOO_MANY_REQUESTS`. */
  readonly failedSignInsPerAddress: RateLimit;
  readonly failedSignInsPerAccount: RateLimit;
  readonly failedEnrolmentsPerAddress: RateLimit;
  /** Requests for tokens, successful or not. Many devices may share the address of one office. */
  readonly publishTokensPerAddress: RateLimit;
  /** Attempts to read the metrics with a wrong token. */
  readonly failedMetricsReadsPerAddress: RateLimit;

  /** How long a shutdown waits for peers to answer the close of their sockets, then for requests to finish. */
  readonly shutdownGraceMs: number;
}

export interface RelayConfig {
  readonly host: string;
  /** 0 means any free port. */
  readonly port: number;
  /** Absolute. */
  readonly dataDir: string;
  /** The built dashboard; absolute. */
  readonly dashboardDir: string;
  readonly companyName: string;
  readonly adminEmail: string;
  /** Null: one is made up at the first run. */
  readonly adminPassword: string | null;
  /** Where clients reach the SFU (`ws:` or `wss:`). Null: at the host by which they reach the relay, on `sfuPort`. */
  readonly sfuUrl: string | null;
  readonly sfuPort: number;
  readonly reconnectGraceMs: number;
  /** `auto`: when the request came by https. */
  readonly secureCookies: 'auto' | 'on' | 'off';
  /** Whose `X-Forwarded-*` headers are believed: everybody's, nobody's, or those of these addresses and networks. */
  readonly trustProxy: boolean | readonly string[];
  readonly logLevel: (typeof LOG_LEVELS)[number];
  /** What a program has to know to read the metrics. Null: it has to run on this machine. */
  readonly metricsToken: string | null;
  readonly ffmpegPath: string;
  readonly limits: RelayLimits;
  readonly mediaLimits: MediaLimits;
}

export type Environment = Readonly<Record<string, string | undefined>>;

const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
/** Names that Fastify knows for networks, by its package `@fastify/proxy-addr`. */
const PROXY_GROUPS = ['loopback', 'linklocal', 'uniquelocal'];
const MINUTE_MS = 60_000;
/** The longest delay that a timer takes; sessions end by one. */
const MAX_TIMER_MS = 2 ** 31 - 1;
/** The first admin is held to what every other user is held to. */
const NEW_USER = RELAY_ROUTES.createUser.body.properties;

export const DEFAULT_RELAY_LIMITS: RelayLimits = {
  sessionLifetimeMs: 12 * 60 * MINUTE_MS,
  tokenLifetimeMs: 15 * MINUTE_MS,
  ticketLifetimeMs: 30_000,
  maxTicketsPerSession: 16,
  enrolmentCodeLifetimeMs: 15 * MINUTE_MS,
  maxAssertionLifetimeMs: MINUTE_MS,
  maxAssertionClockSkewMs: 5_000,
  maxBodyBytes: 64 * 1024,
  requestTimeoutMs: 30_000,
  passwordConcurrency: 2,
  maxWaitingSignIns: 100,
  failedSignInsPerAddress: { count: 30, perMs: 5 * MINUTE_MS },
  failedSignInsPerAccount: { count: 10, perMs: 15 * MINUTE_MS },
  failedEnrolmentsPerAddress: { count: 20, perMs: 5 * MINUTE_MS },
  publishTokensPerAddress: { count: 1_200, perMs: MINUTE_MS },
  failedMetricsReadsPerAddress: { count: 20, perMs: 5 * MINUTE_MS },
  shutdownGraceMs: 2_000,
};

/** Throws an error whose message names the variable, its value and what is allowed. Empty means not set. */
export function readConfig(env: Environment): RelayConfig {
  const reader = new EnvironmentReader(env);
  return {
    host: reader.text('RELAY_HOST', '127.0.0.1'),
    port: reader.integer('RELAY_PORT', { default: 8080, min: 0, max: 65_535 }),
    dataDir: resolve(reader.text('DATA_DIR', './data')),
    dashboardDir: resolve(reader.text('DASHBOARD_DIR', resolve(import.meta.dirname, '../../dashboard/dist'))),
    companyName: reader.text('COMPANY_NAME', 'My company', { maxLength: 120 }),
    adminEmail: readAdminEmail(reader),
    adminPassword: readAdminPassword(reader),
    sfuUrl: readSfuUrl(reader),
    sfuPort: reader.integer('SFU_PORT', { default: 8081, min: 0, max: 65_535 }),
    reconnectGraceMs: reader.integer('RECONNECT_GRACE_MS', { default: MINUTE_MS, min: 0, max: MAX_TIMER_MS }),
    secureCookies: reader.choice('SECURE_COOKIES', ['auto', 'on', 'off'], 'auto'),
    trustProxy: readTrustProxy(reader),
    logLevel: reader.choice('LOG_LEVEL', LOG_LEVELS, 'info'),
    metricsToken: readMetricsToken(reader),
    ffmpegPath: reader.text('FFMPEG_PATH', 'ffmpeg'),
    limits: {
      ...DEFAULT_RELAY_LIMITS,
      sessionLifetimeMs: reader.integer('SESSION_LIFETIME_MS', {
        default: DEFAULT_RELAY_LIMITS.sessionLifetimeMs,
        min: 1_000,
        max: MAX_TIMER_MS,
      }),
    },
    mediaLimits: readMediaLimits(reader),
  };
}

function readAdminEmail(reader: EnvironmentReader): string {
  const email = reader.text('ADMIN_EMAIL', 'admin@proofcast.local');
  const isEmail: boolean = Value.Check(NEW_USER.email, email);
  if (isEmail) return email;
  throw new Error(`Cannot use ADMIN_EMAIL=${email}: it is not an e-mail address.`);
}

function readAdminPassword(reader: EnvironmentReader): string | null {
  const password = reader.secret('ADMIN_PASSWORD');
  if (password === null) return null;
  const [error] = Value.Errors(NEW_USER.password, password);
  if (!error) return password;
  throw new Error(`Cannot use ADMIN_PASSWORD: it ${error.message}.`);
}

function readMetricsToken(reader: EnvironmentReader): string | null {
  const token = reader.secret('METRICS_TOKEN');
  if (token === null || /^[\x21-\x7e]{16,}$/.test(token)) return token;
  throw new Error('Cannot use METRICS_TOKEN: it needs 16 characters or more, without spaces.');
}

function readSfuUrl(reader: EnvironmentReader): string | null {
  const text = reader.text('SFU_URL', '');
  if (text === '') return null;
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url && /^wss?:$/.test(url.protocol) && !url.search && !url.hash) return url.href.replace(/\/$/, '');
  throw new Error(
    `Cannot use SFU_URL=${text}: it is not a ws: or wss: URL without query, like wss://sfu.example.com.`,
  );
}

function readTrustProxy(reader: EnvironmentReader): boolean | string[] {
  const text = reader.text('TRUST_PROXY', 'false');
  if (text === 'true' || text === 'false') return text === 'true';
  const proxies = text.split(',').map((proxy) => proxy.trim());
  if (proxies.every((proxy) => PROXY_GROUPS.includes(proxy) || isIP(proxy.split('/', 1)[0] ?? '') !== 0)) {
    return proxies;
  }
  throw new Error(
    `Cannot use TRUST_PROXY=${text}: it is neither true nor false nor a list of IP addresses, networks (10.0.0.0/8) or ${PROXY_GROUPS.join(', ')}.`,
  );
}

function readMediaLimits(reader: EnvironmentReader): MediaLimits {
  const defaults = DEFAULT_MEDIA_LIMITS;
  const bytes = (name: string, standard: number) =>
    reader.integer(name, { default: standard, min: 0, max: Number.MAX_SAFE_INTEGER });
  return {
    ...defaults,
    warnFreeBytes: bytes('WARN_FREE_BYTES', defaults.warnFreeBytes),
    minFreeBytes: bytes('MIN_FREE_BYTES', defaults.minFreeBytes),
    provisionalKeepMs: reader.integer('PROVISIONAL_KEEP_MS', {
      default: defaults.provisionalKeepMs,
      min: 0,
      max: MAX_TIMER_MS,
    }),
    maxOpenEndedRecordings: reader.integer('MAX_OPEN_ENDED_RECORDINGS', {
      default: defaults.maxOpenEndedRecordings,
      min: 1,
      max: 1_000_000,
    }),
    maxViewConnectionsPerUser: reader.integer('MAX_VIEW_CONNECTIONS_PER_USER', {
      default: defaults.maxViewConnectionsPerUser,
      min: 1,
      max: 1_000_000,
    }),
    concurrentSeals: reader.integer('CONCURRENT_SEALS', {
      default: defaults.concurrentSeals,
      min: 1,
      max: 64,
    }),
    ffmpegTimeoutMs: reader.integer('FFMPEG_TIMEOUT_MS', {
      default: defaults.ffmpegTimeoutMs,
      min: 1_000,
      max: MAX_TIMER_MS,
    }),
    ffmpegMaxMemoryBytes: reader.integer('FFMPEG_MAX_MEMORY_BYTES', {
      default: defaults.ffmpegMaxMemoryBytes,
      min: 512 * 1024 * 1024,
      max: Number.MAX_SAFE_INTEGER,
    }),
    concurrentDerivatives: reader.integer('CONCURRENT_DERIVATIVES', {
      default: defaults.concurrentDerivatives,
      min: 1,
      max: 64,
    }),
    concurrentExports: reader.integer('CONCURRENT_EXPORTS', {
      default: defaults.concurrentExports,
      min: 1,
      max: 64,
    }),
    maxExportsPerCompany: reader.integer('MAX_EXPORTS_PER_COMPANY', {
      default: defaults.maxExportsPerCompany,
      min: 1,
      max: 10_000,
    }),
  };
}

class EnvironmentReader {
  readonly #env: Environment;

  constructor(env: Environment) {
    this.#env = env;
  }

  text(name: string, standard: string, { maxLength = 4_096 } = {}): string {
    const value = this.#env[name]?.trim() || standard;
    if (value.length <= maxLength) return value;
    throw new Error(
      `Cannot use ${name}: it has ${value.length} characters, at most ${maxLength} are allowed.`,
    );
  }

  /** Not trimmed, because every character of a secret counts. */
  secret(name: string): string | null {
    return this.#env[name] || null;
  }

  integer(name: string, allowed: { default: number; min: number; max: number }): number {
    const text = this.text(name, String(allowed.default));
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= allowed.min && value <= allowed.max) return value;
    throw new Error(
      `Cannot use ${name}=${text}: it is not a whole number from ${allowed.min} to ${allowed.max}.`,
    );
  }

  choice<T extends string>(name: string, choices: readonly T[], standard: T): T {
    const text = this.text(name, standard);
    const chosen = choices.find((choice) => choice === text);
    if (chosen !== undefined) return chosen;
    throw new Error(`Cannot use ${name}=${text}: it is not one of ${choices.join(', ')}.`);
  }
}
