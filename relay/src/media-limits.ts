/** The named limits of the media half of the relay. config.ts fills them; each says what happens when it is reached. */

export interface MediaLimits {
  /** A publisher that has not said hello by then is closed with `TIMEOUT`. */
  readonly helloTimeoutMs: number;
  /** What a publisher may have in flight that is not acknowledged as received; told in `welcome`. */
  readonly windowBytes: number;
  /**
   * How long a chunk may go without being acknowledged as received, so that one message usually tells that and that it
   * is durable. An eighth of the window is acknowledged at once.
   */
  readonly maxAckDelayMs: number;
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
  /** A state of the disk is left when so much more than its limit is free, as a part of the limit. */
  readonly freeSpaceHysteresis: number;
  /** How often the free space is looked at. */
  readonly freeSpaceIntervalMs: number;
  /** Each takes 50 bytes of memory while the recording is open; told in `welcome`, more are refused with `RECORDING_FULL`. */
  readonly maxChunksPerRecording: number;

  /** A stream whose recorder has ended, or has not begun, for so long although it has a publisher is `capture-stalled`. */
  readonly epochToleranceMs: number;

  /** Streams that one viewer socket may watch at a time; more is refused with `LIMIT_REACHED`. */
  readonly maxChannelsPerViewer: number;
  /** Messages a second that a viewer may send on average; beyond that it is closed with `TOO_MANY_REQUESTS`. */
  readonly maxViewerMessagesPerSecond: number;
  /** Unsent bytes of a viewer socket above which its streams are cut to a later key cluster. */
  readonly maxViewerBufferBytes: number;
  /** How long a viewer may stay cut off before its channel ends with `VIEWER_TOO_SLOW`. */
  readonly maxViewerLagMs: number;
  /** Websockets and HTTP bodies on which one user may watch at a time; more is refused with `LIMIT_REACHED`. */
  readonly maxViewConnectionsPerUser: number;
  /** Recordings, manifests and exports that one user may be fetching at a time; more are refused with `LIMIT_REACHED`. */
  readonly maxDownloadsPerUser: number;
  /** Who fetches one and takes no byte for so long is cut off; a player that is paused may come again. In heartbeats. */
  readonly maxDownloadStallMs: number;
  /** A viewer for which bytes wait and that takes none for so long is cut off; counted in heartbeats. */
  readonly maxStallMs: number;
  /** Payloads that were read from journals for viewers and are kept for others, of all recordings together. */
  readonly maxCachedPayloadBytes: number;
  /** How often a publisher is asked for a still picture while somebody wants them; more are dropped. */
  readonly stillIntervalMs: number;
  /** How long one request for a still picture keeps them wanted. */
  readonly stillWantedMs: number;

  /**
   * Journals of an earlier run that are read at the same time; as many again when publishers wait for them. Twice as many
   * of those that were closed meanwhile are read at a time.
   */
  readonly concurrentRecoveries: number;
  /** Least time between two updates of what the database says a recording shows. */
  readonly describeIntervalMs: number;
  /**
   * Recordings that have ended and keep their journals and indexes open, a few megabytes each; those of further ones are
   * read again when they are wanted.
   */
  readonly maxOpenEndedRecordings: number;
  /** How long a recording stays in its journal for a publisher that was lost, before it is merged into a file. */
  readonly provisionalKeepMs: number;
  /** Recordings that are sealed at the same time; the others wait. */
  readonly concurrentSeals: number;
  /** Wait after a seal that failed; doubled with each further one, up to the second number. */
  readonly sealRetryMs: number;
  readonly maxSealRetryMs: number;
  /** How long whoever reads from a journal may take when it is not needed any more; then the reading is cut off. */
  readonly readerGraceMs: number;
  /** One run of ffmpeg or ffprobe that takes longer is killed; what encodes a whole recording gets a multiple of its length on top. */
  readonly ffmpegTimeoutMs: number;
  /** Between SIGTERM and SIGKILL to ffmpeg. */
  readonly ffmpegKillDelayMs: number;
  /** Address space of one ffmpeg or ffprobe; what asks for more fails. */
  readonly ffmpegMaxMemoryBytes: number;
  /** Derivatives that are made at the same time; the others wait. */
  readonly concurrentDerivatives: number;
  /** How many of them may be exports or joined files, which take long; the others keep a place for posters and sprites. */
  readonly concurrentExports: number;
  /** MP4s of one company that may wait or run; more are refused with `LIMIT_REACHED`. */
  readonly maxExportsPerCompany: number;
  /** A derivative that has failed so often is `failed` until somebody asks for it again. */
  readonly maxDerivativeAttempts: number;
  /** Wait after the first failure; doubled with each further one, up to the second number. */
  readonly derivativeBackoffMs: number;
  readonly maxDerivativeBackoffMs: number;
  /** Between the end of one look for recordings that are to be deleted and the next look. */
  readonly retentionIntervalMs: number;
  /** Recordings that a dry run of the retention lists; it counts all. */
  readonly maxPreviewedRecordings: number;

  /** How long a shutdown waits for running seals; those that are cut off run again at the next start. */
  readonly sealShutdownMs: number;
}

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

export const DEFAULT_MEDIA_LIMITS: MediaLimits = {
  helloTimeoutMs: 10_000,
  windowBytes: 8 * MIB,
  maxAckDelayMs: 100,
  maxUndurableBytes: 16 * MIB,
  maxOpenRecordingsPerStream: 8,
  maxConsecutiveRefusals: 1000,
  heartbeatIntervalMs: 10_000,
  peerTimeoutMs: 30_000,
  commitIntervalMs: 50,
  warnFreeBytes: 5 * GIB,
  minFreeBytes: GIB,
  freeSpaceHysteresis: 0.1,
  freeSpaceIntervalMs: 10_000,
  // Twelve days at four a second, 200 MiB.
  maxChunksPerRecording: 4_000_000,
  epochToleranceMs: 3_000,
  maxChannelsPerViewer: 64,
  maxViewerMessagesPerSecond: 50,
  maxViewerBufferBytes: 4 * MIB,
  maxViewerLagMs: 10_000,
  maxViewConnectionsPerUser: 128,
  maxDownloadsPerUser: 64,
  maxDownloadStallMs: 600_000,
  maxStallMs: 60_000,
  maxCachedPayloadBytes: 16 * MIB,
  stillIntervalMs: 2_000,
  stillWantedMs: 15_000,
  concurrentRecoveries: 2,
  describeIntervalMs: 5_000,
  maxOpenEndedRecordings: 256,
  provisionalKeepMs: 3_600_000,
  concurrentSeals: 1,
  sealRetryMs: 60_000,
  maxSealRetryMs: 3_600_000,
  readerGraceMs: 600_000,
  ffmpegTimeoutMs: 600_000,
  ffmpegKillDelayMs: 5_000,
  ffmpegMaxMemoryBytes: 4 * GIB,
  concurrentDerivatives: 2,
  concurrentExports: 1,
  maxExportsPerCompany: 20,
  maxDerivativeAttempts: 5,
  derivativeBackoffMs: 10_000,
  maxDerivativeBackoffMs: 3_600_000,
  retentionIntervalMs: 3_600_000,
  maxPreviewedRecordings: 1_000,
  sealShutdownMs: 5_000,
};

/**
 * Largest websocket frame that is read at all (`maxPayload` of ws). Above the largest chunk, so that a chunk which is
 * too large is refused with its code on a living connection; a frame beyond this ends the connection (RFC 6455: 1009).
 */
export const MAX_SOCKET_FRAME_BYTES = 4 * MIB;
