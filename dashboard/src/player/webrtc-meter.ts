/** What the statistics of a WebRTC connection tell about its picture: whether it moves, and how late it is. */
import {
  maxOf,
  readRtcStats,
  roundTripS,
  sumOf,
  type RtcStatsEntry,
  type ViewReading,
} from '@proofcast/shared';
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
   * From the SFU to this screen: half a round trip, and what receiving, buffering and decoding took per picture. What
   * comes on top is the way from the desktop to the SFU: until the publisher has told that, this is a minimum.
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

  /** Takes one report (W3C WebRTC Statistics), and what the way to the SFU takes as far as that is known. */
  take(report: RTCStatsReport, sendingDelayMs: number | null): void {
    const entries = readRtcStats(report);
    // mediasoup probes the bandwidth with a track of its own, which is listed here and never decoded.
    const inbound = entries.filter((entry) => entry['type'] === 'inbound-rtp' && entry['kind'] === 'video');
    this.#measure(entries, { inbound, sendingDelayMs });
    this.#reading = {
      widthPx: maxOf(inbound, 'frameWidth'),
      heightPx: maxOf(inbound, 'frameHeight'),
      framesPerSecond: maxOf(inbound, 'framesPerSecond'),
      freezeCount: sumOf(inbound, 'freezeCount'),
      delayMs: this.#delay && !this.#delay.isMinimum ? this.#delay.ms : null,
    };
  }

  #measure(
    entries: readonly RtcStatsEntry[],
    { inbound, sendingDelayMs }: { inbound: readonly RtcStatsEntry[]; sendingDelayMs: number | null },
  ): void {
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
    const receivingMs = (roundTripS(entries) / 2 + perFrameS) * 1000;
    this.#delay = { ms: receivingMs + (sendingDelayMs ?? 0), isMinimum: sendingDelayMs === null };
  }
}
