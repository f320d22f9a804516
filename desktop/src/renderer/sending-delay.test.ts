import { beforeEach, expect, it } from 'vitest';
import { SendingDelay } from './sending-delay.ts';

let delay: SendingDelay;

beforeEach(() => {
  delay = new SendingDelay();
});

interface Sent {
  readonly framesEncoded: number;
  readonly totalEncodeTime: number;
  readonly packetsSent: number;
  readonly totalPacketSendDelay: number;
}

/** A report as Chromium gives it: an entry for each layer, and pairs of which one is in use. */
function report(...layers: readonly Sent[]): RTCStatsReport {
  const entries = [
    ...layers.map((layer) => ({ type: 'outbound-rtp', kind: 'video', ...layer })),
    { type: 'candidate-pair', nominated: false, currentRoundTripTime: 9 },
    { type: 'candidate-pair', nominated: true, currentRoundTripTime: 0.04 },
  ];
  return new Map(entries.map((entry, index) => [String(index), entry]));
}

const IDLE: Sent = { framesEncoded: 0, totalEncodeTime: 0, packetsSent: 0, totalPacketSendDelay: 0 };
const EARLIER: Sent = { framesEncoded: 10, totalEncodeTime: 0.1, packetsSent: 100, totalPacketSendDelay: 1 };
const LATER: Sent = { framesEncoded: 20, totalEncodeTime: 0.2, packetsSent: 200, totalPacketSendDelay: 1.5 };

it('is encoding and pacing of what was sent between two reports, and half a round trip', () => {
  expect(delay.take(report(EARLIER, IDLE))).toBeNull();
  expect(delay.take(report(LATER, IDLE))).toBeCloseTo(10 + 5 + 20);
});

it('is that of all layers together', () => {
  delay.take(report(EARLIER, EARLIER));
  expect(delay.take(report(LATER, LATER))).toBeCloseTo(10 + 5 + 20);
});

it('is not known while nothing is sent, or when the counters began anew', () => {
  delay.take(report(LATER));
  expect(delay.take(report(LATER))).toBeNull();
  expect(delay.take(report(EARLIER))).toBeNull();
  expect(delay.take(report(LATER))).toBeCloseTo(35);
});

it('is not made up of what a browser does not tell', () => {
  delay.take(new Map());
  expect(delay.take(new Map())).toBeNull();
});
