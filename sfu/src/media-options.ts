/** What the SFU asks of mediasoup, with the reason for each choice. */
import type { RouterRtpCodecCapability, RtpCapabilities, WebRtcTransportOptions } from 'mediasoup/types';

/** What is used and nothing else (docs/decisions/0007-live-codec.md). How pictures are layered is the publisher's. */
export const MEDIA_CODECS: RouterRtpCodecCapability[] = [
  { kind: 'video', mimeType: 'video/VP8', clockRate: 90_000 },
  { kind: 'audio', mimeType: 'audio/opus', clockRate: 48_000, channels: 2 },
];

export const TRANSPORT_OPTIONS = {
  enableUdp: true,
  enableTcp: true,
  preferUdp: true,
  /**
   * With mediasoup's own 600 kbps a viewer of a layered stream would get the lowest layer until the estimate has grown,
   * and unreadable text until then. A 1080p screen needs 2 to 3 Mbps in its best layer. On a path that carries less,
   * transport-wide feedback brings the estimate down, and with it the layer.
   */
  initialAvailableOutgoingBitrate: 4_000_000,
} as const satisfies Omit<WebRtcTransportOptions, 'webRtcServer'>;

/**
 * What a viewer's network is taken to carry at least. Where the estimate is lower than the lowest layer takes (200 kbps),
 * mediasoup sends nothing, and after a sudden fall it is that for longer than a player waits for its picture. What does
 * not get through in spite of that is shown through the relay.
 */
export const MIN_OUTGOING_BITRATE = 250_000;

/**
 * The least time between two keyframe requests to a publisher. The first viewer gets a keyframe at once; many who join
 * together, or one who loses packets all the time, cannot make the publisher send more than two a second, each of which
 * is the size of a whole picture.
 */
export const KEYFRAME_REQUEST_DELAY_MS = 500;

/**
 * Header extensions (RFC 8285) that something is done with; each of the others would be bytes in every packet. Which
 * stream (mid), which layer (rid, and that of retransmissions), when it arrived (transport-wide feedback for the
 * bandwidth estimate), and how long it may wait at the viewer (playout delay).
 */
const HEADER_EXTENSIONS: ReadonlySet<string> = new Set([
  'urn:ietf:params:rtp-hdrext:sdes:mid',
  'urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id',
  'urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id',
  'http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01',
  'http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time',
  'http://www.webrtc.org/experiments/rtp-hdrext/playout-delay',
]);

/** What clients are offered of what a router could do. */
export function offeredCapabilities({
  codecs = [],
  headerExtensions = [],
}: RtpCapabilities): RtpCapabilities {
  return { codecs, headerExtensions: headerExtensions.filter(({ uri }) => HEADER_EXTENSIONS.has(uri)) };
}
