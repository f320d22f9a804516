/** What the pictures of one sender take from the capture to the server, between one report and the next. */
import { readRtcStats, roundTripS, sumOf } from '@proofcast/shared';

interface Sample {
  readonly frames: number;
  readonly encodingS: number;
  readonly packets: number;
  readonly pacingS: number;
}

/**
 * Encoding, waiting to be sent, and half a round trip (W3C WebRTC Statistics: `totalEncodeTime`,
 * `totalPacketSendDelay`, `currentRoundTripTime`). How long the system took to hand out the picture is not in it.
 */
export class SendingDelay {
  #last: Sample | undefined;

  /** Milliseconds, or null when nothing was sent since the report before, or there was none. */
  take(report: RTCStatsReport): number | null {
    const entries = readRtcStats(report);
    const outbound = entries.filter(({ type, kind }) => type === 'outbound-rtp' && kind === 'video');
    const sample: Sample = {
      frames: sumOf(outbound, 'framesEncoded'),
      encodingS: sumOf(outbound, 'totalEncodeTime'),
      packets: sumOf(outbound, 'packetsSent'),
      pacingS: sumOf(outbound, 'totalPacketSendDelay'),
    };
    const last = this.#last;
    this.#last = sample;
    if (!last || sample.frames <= last.frames || sample.packets <= last.packets) return null;
    const delayS =
      (sample.encodingS - last.encodingS) / (sample.frames - last.frames) +
      (sample.pacingS - last.pacingS) / (sample.packets - last.packets) +
      roundTripS(entries) / 2;
    return delayS * 1000;
  }
}
