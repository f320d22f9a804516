import { beforeEach, describe, expect, it } from 'vitest';
import { HeldClock } from '../../testing/held-clock.ts';
import { WEBRTC_FREEZE_MS } from '../config.ts';
import { WebRtcMeter } from './webrtc-meter.ts';

let clock: HeldClock;
let meter: WebRtcMeter;

beforeEach(() => {
  clock = new HeldClock();
  meter = new WebRtcMeter(clock.nowMs);
});

/** A report as Chromium gives it; `undecoded` is the track that mediasoup probes the bandwidth with. */
function report(
  framesDecoded: number,
  totalProcessingDelay: number,
  currentRoundTripTime = 0.02,
): RTCStatsReport {
  const entries = [
    { type: 'inbound-rtp', kind: 'video', framesDecoded: 0, totalProcessingDelay: 0 },
    { type: 'inbound-rtp', kind: 'video', framesDecoded, totalProcessingDelay },
    { type: 'candidate-pair', nominated: false, currentRoundTripTime: 9 },
    { type: 'candidate-pair', nominated: true, currentRoundTripTime },
  ];
  return new Map(entries.map((entry, index) => [String(index), entry]));
}

describe('the delay', () => {
  it('is half a round trip and the processing of the pictures between two reports, as a minimum', () => {
    meter.take(report(10, 1), null);
    expect(meter.delay).toBeNull();
    meter.take(report(20, 1.3), null);
    expect(meter.delay).toEqual({ ms: expect.closeTo(40), isMinimum: true });
  });

  it('is the whole way as soon as the publisher has told its half', () => {
    meter.take(report(10, 1), null);
    meter.take(report(20, 1.3), 25);
    expect(meter.delay).toEqual({ ms: expect.closeTo(65), isMinimum: false });
    expect(meter.reading?.delayMs).toBeCloseTo(65);
    meter.take(report(30, 1.6), null);
    expect(meter.reading?.delayMs).toBeNull();
    expect(meter.delay).toEqual({ ms: expect.closeTo(40), isMinimum: true });
  });

  it('stays what it was while no picture comes', () => {
    meter.take(report(10, 1), null);
    meter.take(report(20, 1.3), null);
    meter.take(report(20, 1.3), null);
    expect(meter.delay?.ms).toBeCloseTo(40);
  });

  it('is not made up from counters that began anew', () => {
    meter.take(report(100, 5), null);
    meter.take(report(3, 0.1), null);
    expect(meter.delay).toBeNull();
  });
});

describe('a frozen picture', () => {
  it('is one that has moved and stands still for too long', () => {
    meter.take(report(10, 1), null);
    clock.advance(WEBRTC_FREEZE_MS);
    meter.take(report(10, 1), null);
    expect(meter.isFrozen).toBe(false);
    clock.advance(1);
    meter.take(report(10, 1), null);
    expect(meter.isFrozen).toBe(true);
    meter.take(report(11, 1), null);
    expect(meter.isFrozen).toBe(false);
  });

  it('is not one that has not come yet: that has a time limit of its own', () => {
    meter.take(report(0, 0), null);
    clock.advance(WEBRTC_FREEZE_MS * 10);
    meter.take(report(0, 0), null);
    expect(meter.isFrozen).toBe(false);
  });
});
