/** The named limits of the media half of the relay. config.ts fills them; each says what happens when it is reached. */

export interface MediaLimits {
  /** A publisher that has not said hello by then is closed with `TIMEOUT`. */
  readonly helloTimeoutMs: number;
  /** What a publisher may have in flight that is not acknowledged as received; told in `welcome`. */
  readonly windowBytes: number;
  /** Bytes of one recording that wait for the disk; above it the socket of the publisher is not read. */
  readonly maxUndurableBytes: number;
  /** Recordings of one stream that may be open at a time, waiting for their publisher; more is `LIMIT_REACHED`. */
  readonly maxOpenRecordingsPerStream: number;
  /** Refusals in a row, without one accepted chunk between them, after which a publisher is closed. */
  readonly maxConsecutiveRefusals: number;
  /** Time between two pings of a peer. */
  readonly heartbeatIntervalMs: number;
  /** A peer that has been silent for so long, pongs included, is cut off; counted in heartbeats. */
  readonly peerTimeoutMs: number;

  /** Least time between two rounds of `fdatasync`; what arrives meanwhile shares the next one. */
  readonly commitIntervalMs: number;
  /** Free space of the data disk below which `/readyz` says so. */
  readonly warnFreeBytes: number;
  /** Free space below which new recordings are refused with `STORAGE_FULL`; running ones go on. */
  readonly minFreeBytes: number;
  /** How often the free space is looked at. */
  readonly freeSpaceIntervalMs: number;
  /** Newest chunks of a recording whose places are kept in memory for viewers who join or fall behind. */
  readonly maxIndexedChunks: number;

  /** Streams that one viewer socket may watch at a time; more is refused with `LIMIT_REACHED`. */
  readonly maxChannelsPerViewer: number;
  /** Messages a second that a viewer may send on average; beyond that it is closed with `TOO_MANY_REQUESTS`. */
  readonly maxViewerMessagesPerSecond: number;
  /** Unsent bytes of a viewer socket above which its streams are cut to a later key cluster. */
  readonly maxViewerBufferBytes: number;
  /** How long a viewer may stay cut off before its channel ends with `VIEWER_TOO_SLOW`. */
  readonly maxViewerLagMs: number;

  /** Recordings that are sealed at the same time; the others wait. */
  readonly concurrentSeals: number;
  /** One run of ffmpeg or ffprobe that takes longer is killed, and the recording is `failed` until the next start. */
  readonly ffmpegTimeoutMs: number;
  /** Between SIGTERM and SIGKILL to ffmpeg. */
  readonly ffmpegKillDelayMs: number;
  /** How long a shutdown waits for running seals; those that are cut off run again at the next start. */
  readonly sealShutdownMs: number;
}

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

export const DEFAULT_MEDIA_LIMITS: MediaLimits = {
  helloTimeoutMs: 10_000,
  windowBytes: 8 * MIB,
  maxUndurableBytes: 16 * MIB,
  maxOpenRecordingsPerStream: 8,
  maxConsecutiveRefusals: 1000,
  heartbeatIntervalMs: 10_000,
  peerTimeoutMs: 30_000,
  commitIntervalMs: 50,
  warnFreeBytes: 5 * GIB,
  minFreeBytes: GIB,
  freeSpaceIntervalMs: 10_000,
  maxIndexedChunks: 4096,
  maxChannelsPerViewer: 64,
  maxViewerMessagesPerSecond: 50,
  maxViewerBufferBytes: 4 * MIB,
  maxViewerLagMs: 10_000,
  concurrentSeals: 1,
  ffmpegTimeoutMs: 600_000,
  ffmpegKillDelayMs: 5_000,
  sealShutdownMs: 5_000,
};

/**
 * Largest websocket frame that is read at all (`maxPayload` of ws). Above the largest chunk, so that a chunk which is
 * too large is refused with its code on a living connection; a frame beyond this ends the connection (RFC 6455: 1009).
 */
export const MAX_SOCKET_FRAME_BYTES = 4 * MIB;
