/** What mediasoup-client sends for a screen, for tests that need no media. */
import type { Id, ParamsOf, SFU_REQUESTS } from '@proofcast/shared';
import type { RtpCapabilities, RtpParameters } from 'mediasoup-client/types';

let nextSsrc = 1_000_000;

/** A VP8 video with retransmission; each call has SSRCs of its own. */
export function videoParameters(mid = '0'): RtpParameters {
  nextSsrc += 2;
  return {
    mid,
    codecs: [
      {
        mimeType: 'video/VP8',
        payloadType: 96,
        clockRate: 90_000,
        parameters: {},
        rtcpFeedback: [
          { type: 'nack', parameter: '' },
          { type: 'nack', parameter: 'pli' },
          { type: 'transport-cc', parameter: '' },
        ],
      },
      {
        mimeType: 'video/rtx',
        payloadType: 97,
        clockRate: 90_000,
        parameters: { apt: 96 },
        rtcpFeedback: [],
      },
    ],
    headerExtensions: [
      { uri: 'urn:ietf:params:rtp-hdrext:sdes:mid', id: 4, encrypt: false, parameters: {} },
      {
        uri: 'http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time',
        id: 2,
        encrypt: false,
        parameters: {},
      },
    ],
    encodings: [{ ssrc: nextSsrc, rtx: { ssrc: nextSsrc + 1 }, dtx: false }],
    rtcp: { cname: 'screen', reducedSize: true },
  };
}

export function audioParameters(mid = '1'): RtpParameters {
  nextSsrc += 2;
  return {
    mid,
    codecs: [
      {
        mimeType: 'audio/opus',
        payloadType: 111,
        clockRate: 48_000,
        channels: 2,
        parameters: { minptime: 10, useinbandfec: 1 },
        rtcpFeedback: [{ type: 'transport-cc', parameter: '' }],
      },
    ],
    headerExtensions: [{ uri: 'urn:ietf:params:rtp-hdrext:sdes:mid', id: 4, encrypt: false, parameters: {} }],
    encodings: [{ ssrc: nextSsrc, dtx: false }],
    rtcp: { cname: 'screen', reducedSize: true },
  };
}

export const DTLS_PARAMETERS = {
  role: 'client' as const,
  fingerprints: [{ algorithm: 'sha-256' as const, value: Array.from({ length: 32 }, () => 'A5').join(':') }],
};

/** A viewer that plays VP8 and Opus. */
export const RTP_CAPABILITIES: RtpCapabilities = {
  codecs: [
    {
      kind: 'video',
      mimeType: 'video/VP8',
      preferredPayloadType: 96,
      clockRate: 90_000,
      parameters: {},
      rtcpFeedback: [],
    },
    {
      kind: 'audio',
      mimeType: 'audio/opus',
      preferredPayloadType: 111,
      clockRate: 48_000,
      channels: 2,
      parameters: {},
      rtcpFeedback: [],
    },
  ],
  headerExtensions: [],
};

/** The parameters of `view` for a viewer that wants all there is. */
export function viewOf(streamId: Id): ParamsOf<typeof SFU_REQUESTS, 'view'> {
  return { streamId, rtpCapabilities: RTP_CAPABILITIES };
}
