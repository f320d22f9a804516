/** What the statistics of a WebRTC connection tell about its picture: whether it moves, and how late it is at least. */
import type { ViewReading } from '@proofcast/shared';
import { WEBRTC_FREEZE_MS } from '../config.ts';
import type { Delay } from './video-path.ts';

interface Sample {
  readonly framesDecoded: number;
  readonly processingS: number;
}

export class WebRtcMeter {
  readonly #nowMs: () => number;
  #last: Sample | undefined;
  #movedAtMs: number | undefined;
  #delay: Delay | null = null;
  #reading: ViewReading | null = null;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /**
   * From the SFU to this screen: half a round trip, and what receiving, buffering and decoding took per picture. The
   * way from the desktop to the SFU comes on top and cannot be seen from here, so this is a minimum.
   */
  get delay(): Delay | null {
    return this.#delay;
  }

  /** Whether the picture has moved before and now stands still for too long. */
  get isFrozen(): boolean {
    return this.#movedAtMs !== undefined && this.#nowMs() - this.#movedAtMs > WEBRTC_FREEZE_MS;
  }

  /** The picture is another one from now on, or stood still because it was to: it has to move again to be frozen. */
  forget(): void {
    this.#last = undefined;
    this.#movedAtMs = undefined;
  }

  /** What the picture is like, for statistics; null while nothing is known. */
  get reading(): ViewReading | null {
    return this.#reading;
  }

  /** Takes one report (W3C WebRTC Statistics). */
  take(report: RTCStatsReport): void {
    const entries = [...report.values()] as Record<string, unknown>[];
    // mediasoup probes the bandwidth with a track of its own, which is listed here and never decoded.
    const inbound = entries.filter((entry) => entry['type'] === 'inbound-rtp' && entry['kind'] === 'video');
    this.#reading = {
      widthPx: maxOf(inbound, 'frameWidth'),
      heightPx: maxOf(inbound, 'frameHeight'),
      framesPerSecond: maxOf(inbound, 'framesPerSecond'),
      freezeCount: sumOf(inbound, 'freezeCount'),
    };
    const sample = {
      framesDecoded: sumOf(inbound, 'framesDecoded'),
      processingS: sumOf(inbound, 'totalProcessingDelay'),
    };
    const last = this.#last;
    this.#last = sample;
    if (sample.framesDecoded === (last?.framesDecoded ?? 0)) return;
    this.#movedAtMs = this.#nowMs();
    if (!last || sample.framesDecoded < last.framesDecoded) return;
    const perFrameS = (sample.processingS - last.processingS) / (sample.framesDecoded - last.framesDecoded);
    this.#delay = { ms: (roundTripS(entries) / 2 + perFrameS) * 1000, isMinimum: true };
  }
}

function roundTripS(entries: readonly Record<string, unknown>[]): number {
  const pair = entries.find((entry) => entry['type'] === 'candidate-pair' && entry['nominated'] === true);
  return numberOf(pair?.['currentRoundTripTime']);
}

function sumOf(entries: readonly Record<string, unknown>[], key: string): number {
  return entries.reduce((sum, entry) => sum + numberOf(entry[key]), 0);
}

function maxOf(entries: readonly Record<string, unknown>[], key: string): number {
  return Math.max(0, ...entries.map((entry) => numberOf(entry[key])));
}

function numberOf(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) ? value : 0;
}
