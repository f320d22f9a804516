/** Settings of the main process, and its named limits. The only reader of the environment. */
import { DEFAULT_RECONNECT_LIMITS, type ReconnectLimits } from '@proofcast/shared';
import { Type } from 'typebox';
import { Value } from 'typebox/value';

/** What the relay takes of one recording. */
export interface RecordingLimits {
  readonly maxChunks: number;
  readonly maxEpochs: number;
  readonly maxEvents: number;
}

/** The part of its limits at which a recording is followed by another one. */
export const NEARLY_FULL = 0.9;

export interface SpoolLimits {
  /** All chunks on this disk that the relay has not confirmed; when they are more, no chunk is accepted. */
  readonly limitBytes: number;
  /** A segment file is deleted as a whole, so it is about as much as is kept too long. */
  readonly segmentBytes: number;
  /** Part of the limit, and of the disk, that media may not use: the events which say why nothing is recorded need it. */
  readonly eventReserveBytes: number;
  /** Of a recording of which the relay has not told its own limits yet; no relay has lower ones by default. */
  readonly recording: RecordingLimits;
}

export interface UploadLimits {
  readonly reconnect: ReconnectLimits;
  /** From the start of a connection to `welcome`. */
  readonly connectTimeoutMs: number;
  /**
   * What may be on its way and not yet counted by the relay, however much the relay would allow. Small enough that a
   * slow network moves it, and the ping behind it, before the connection seems dead.
   */
  readonly maxInFlightBytes: number;
  readonly pingIntervalMs: number;
  /** After so many pings without any sign of life the connection is dead. */
  readonly maxSilentPings: number;
  /** How often it is asked whether the device has left the network that the connection went over. */
  readonly addressCheckMs: number;
  /** Bytes are in flight, yet the relay counts none of them: the connection is of no use. */
  readonly ackTimeoutMs: number;
  /** How often one chunk may be refused because of its hash before its recording is given up. */
  readonly maxRefusalsOfOneChunk: number;
  /** The relay is told at most so often what waits on this disk. */
  readonly statusIntervalMs: number;
  /** Unsent bytes above which a still picture is dropped: chunks must not wait behind it. */
  readonly maxBytesBeforeStill: number;
  /** Recordings of this run that are shown as done; older ones are forgotten. */
  readonly maxDoneShown: number;
}

export interface DesktopConfig {
  readonly logLevel: string;
  readonly spool: SpoolLimits;
  readonly upload: UploadLimits;
  /** Between two attempts to show the page when it crashes before it has captured anything. */
  readonly reload: ReconnectLimits;
  /** Timeout of one HTTP request to the relay. */
  readonly requestTimeoutMs: number;
  /** Capture that delivers nothing for this long has stalled: even a still screen yields a slice every two seconds. */
  readonly stallAfterMs: number;
  /** How long a recording that was interrupted by the end of the app waits to be resumed before it is finished. */
  readonly resumeWindowMs: number;
  readonly thumbnail: { readonly width: number; readonly height: number };
  /** How long quitting waits for the last chunks to be acknowledged; what is left stays in the spool. */
  readonly quitTimeoutMs: number;
}

const Environment = Type.Object({
  LOG_LEVEL: Type.Optional(Type.Enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'])),
  DESKTOP_SPOOL_LIMIT_MB: Type.Optional(Type.String({ pattern: '^[1-9][0-9]{0,8}$' })),
  DESKTOP_RESUME_WINDOW_MS: Type.Optional(Type.String({ pattern: '^[0-9]{1,9}$' })),
});

const KILOBYTE = 1024;
const MEGABYTE = 1024 * KILOBYTE;

/** Throws a `TypeError` that names the variable whose value cannot be used. */
export function readConfig(env: Readonly<Record<string, string | undefined>>): DesktopConfig {
  if (!Value.Check(Environment, env)) {
    const name = Value.Errors(Environment, env)[0]?.instancePath.slice(1) ?? '';
    throw new TypeError(
      `Cannot use the environment variable ${name}: its value is ${JSON.stringify(env[name])}.`,
    );
  }
  const limitBytes = Number(env.DESKTOP_SPOOL_LIMIT_MB ?? 4096) * MEGABYTE;
  return {
    logLevel: env.LOG_LEVEL ?? 'info',
    spool: {
      limitBytes,
      // A small spool has several segments too, or nothing could be deleted before all of it is confirmed.
      segmentBytes: Math.min(8 * MEGABYTE, limitBytes / 8),
      eventReserveBytes: Math.min(256 * KILOBYTE, limitBytes / 16),
      recording: { maxChunks: 1_000_000, maxEpochs: 10_000, maxEvents: 100_000 },
    },
    upload: {
      reconnect: DEFAULT_RECONNECT_LIMITS,
      connectTimeoutMs: 10_000,
      maxInFlightBytes: 2 * MEGABYTE,
      pingIntervalMs: 10_000,
      maxSilentPings: 3,
      addressCheckMs: 1_000,
      ackTimeoutMs: 60_000,
      maxRefusalsOfOneChunk: 3,
      statusIntervalMs: 5_000,
      maxBytesBeforeStill: 256 * KILOBYTE,
      maxDoneShown: 5,
    },
    reload: { initialDelayMs: 500, maxDelayMs: 30_000 },
    requestTimeoutMs: 10_000,
    stallAfterMs: 7_000,
    resumeWindowMs: Number(env.DESKTOP_RESUME_WINDOW_MS ?? 30 * 60_000),
    thumbnail: { width: 320, height: 180 },
    quitTimeoutMs: 10_000,
  };
}
