/** Named limits of the renderer: capture, recorder and the path to the SFU. */
import { DEFAULT_RECONNECT_LIMITS } from '@proofcast/shared';

export const CAPTURE = {
  /** Larger screens are scaled down; text stays readable and the encoders stay affordable. */
  maxWidthPx: 1920,
  maxHeightPx: 1200,
  maxFrameRate: 30,
  /**
   * Enough to see that it is the right screen and that it moves. Each picture that is shown is scaled and composed, in
   * software where there is no hardware for it, whether anybody looks or not.
   */
  previewFrameRate: 1,
  previewWidthPx: 960,
} as const;

export const SOUND = {
  /** A system whose sound has not started by then will not. */
  startTimeoutMs: 3_000,
  /** A power of two (W3C Web Audio 1.1, 1.8); 43 ms at 48 kHz. */
  meterSamples: 2_048,
  meterIntervalMs: 100,
} as const;

export const RECORDER = {
  /** VP8: recorded and played by every browser with MediaSource, and the cheapest to encode. */
  mimeType: 'video/webm;codecs=vp8',
  soundMimeType: 'video/webm;codecs=vp8,opus',
  videoBitsPerSecond: 2_500_000,
  audioBitsPerSecond: 64_000,
  sliceMs: 2_000,
  /** Milliseconds between keyframes; with it every slice can be joined by a viewer. */
  keyFrameIntervalMs: 2_000,
  /** While somebody watches through the relay. */
  watchedSliceMs: 250,
  /** Slices that wait for the disk of this machine. */
  maxPendingBytes: 48 * 1024 * 1024,
} as const;

export const STILL = {
  maxWidthPx: 640,
  /** Tried one after the other until the picture is small enough; screens of text compress badly. */
  qualities: [0.7, 0.5, 0.3],
} as const;

/** A share whose source is gone, and for which nobody chooses another one, is stopped. */
export const SOURCE_GONE_STOP_MS = 30 * 60_000;

/**
 * After the system said that the device goes to sleep, and has not said that it is awake: recording goes on then, for it
 * is. Time stands still while it sleeps.
 */
export const SUSPEND_TOLERANCE_MS = 10_000;

/** Between two attempts to record again after the recording path failed in a way that may pass. */
export const RECORDING_RETRY = { initialDelayMs: 1_000, maxDelayMs: 30_000 } as const;

/** Between two recordings of a share when the relay refuses each; what it refused stays on this disk. */
export const REFUSED_RETRY = { initialDelayMs: 1_000, maxDelayMs: 10 * 60_000 } as const;

/** An epoch that has lasted for so long has proven that recording works: the next failure is the first one again. */
export const RECORDING_PROVEN_MS = 60_000;

/**
 * How long the last slices of a capture, and why it ended, may take to the disk of this machine. Then the screen is
 * released without them.
 */
export const LAST_SLICES_TIMEOUT_MS = 10_000;

export const SFU = {
  reconnect: DEFAULT_RECONNECT_LIMITS,
  requestTimeoutMs: 10_000,
  codec: 'video/vp8',
  /**
   * The small picture is for tiles and for viewers whose network carries no more: with headers and repetitions it has
   * to fit into 300 kbps.
   */
  encodings: [
    { rid: 'small', scaleResolutionDownBy: 3, maxBitrate: 200_000, scalabilityMode: 'L1T1' },
    { rid: 'full', maxBitrate: 3_500_000, scalabilityMode: 'L1T1' },
  ],
  startBitrateKbps: 2_000,
  /** A connection that has lasted so long was a good one: when its worker dies, it is built anew at once. */
  stableAfterMs: 2_000,
  /** ICE often recovers by itself from a short break. */
  disconnectedToleranceMs: 3_000,
  /**
   * How often it is asked whether the signalling is alive, and how long the answer may take. Together they are less than
   * the SFU takes to give up a publisher that it does not hear of (10 to 20 s).
   */
  signallingCheckMs: 4_000,
  signallingAnswerMs: 5_000,
  /** From an ICE restart, or from the first offer, to a connection; after it everything is built anew. */
  connectTimeoutMs: 10_000,
  /** While somebody watches: how often viewers are told what the way to the SFU takes; the first time soon. */
  delayReportMs: 5_000,
  firstDelayReportMs: 1_000,
  /** Between two attempts to get newer tokens. */
  renewRetryMs: 15_000,
} as const;
