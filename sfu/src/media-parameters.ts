/**
 * Checks what clients say about media before mediasoup sees it. mediasoup validates less than it relies on: a value of
 * the wrong type can throw in the middle of serialising a request, and leaves the channel to that worker unusable for
 * everybody (3.27.1: `maxBitrate: 1.5` does it). So nothing reaches a worker that does not match these schemas.
 */
import { CodedError, parseWith } from '@proofcast/shared';
import type { DtlsParameters, MediaKind, RtpCapabilities, RtpParameters } from 'mediasoup/types';
import { Type } from 'typebox';

/** Throws `MESSAGE_INVALID`. */
export function parseDtlsParameters(value: unknown): DtlsParameters {
  return parseWith(Type.Unsafe<DtlsParameters>(ClientDtlsParameters), value, 'the DTLS parameters');
}

/** Throws `MESSAGE_INVALID`, also when a codec is not of `kind`. */
export function parseRtpParameters(value: unknown, kind: MediaKind): RtpParameters {
  const parameters = parseWith(Type.Unsafe<RtpParameters>(ClientRtpParameters), value, 'the RTP parameters');
  const stranger = parameters.codecs.find(({ mimeType }) => !mimeType.startsWith(`${kind}/`));
  if (!stranger) return parameters;
  throw new CodedError(
    'MESSAGE_INVALID',
    `Cannot accept the RTP parameters: they are for ${kind}, and one codec is ${stranger.mimeType}.`,
  );
}

/** Throws `MESSAGE_INVALID`. */
export function parseRtpCapabilities(value: unknown): RtpCapabilities {
  return parseWith(Type.Unsafe<RtpCapabilities>(ClientRtpCapabilities), value, 'the RTP capabilities');
}

const integer = (minimum: number, maximum: number) => Type.Integer({ minimum, maximum });
const text = (maxLength: number) => Type.String({ maxLength });

const PayloadType = integer(0, 127);
const Ssrc = integer(0, 0xffff_ffff);
const ClockRate = integer(1, 1_000_000);
const Channels = integer(1, 8);
const Mid = text(32);
const Kind = Type.Union([Type.Literal('audio'), Type.Literal('video')]);
const MimeType = Type.String({ pattern: '^(audio|video)/[A-Za-z0-9.+-]{1,32}$' });

/** Format parameters (`a=fmtp` of SDP). */
const Parameters = Type.Record(
  text(64),
  Type.Union([text(256), Type.Number({ minimum: -0x8000_0000, maximum: 0x7fff_ffff })]),
);

const RtcpFeedback = Type.Object({ type: text(32), parameter: Type.Optional(text(32)) });

const ClientDtlsParameters = Type.Object({
  role: Type.Optional(Type.Union([Type.Literal('auto'), Type.Literal('client'), Type.Literal('server')])),
  fingerprints: Type.Array(
    Type.Object({
      algorithm: Type.Union(
        (['sha-1', 'sha-224', 'sha-256', 'sha-384', 'sha-512'] as const).map((name) => Type.Literal(name)),
      ),
      value: Type.String({ pattern: '^[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){19,63}$' }),
    }),
    { minItems: 1, maxItems: 8 },
  ),
});

const ClientRtpParameters = Type.Object({
  mid: Type.Optional(Mid),
  codecs: Type.Array(
    Type.Object({
      mimeType: MimeType,
      payloadType: PayloadType,
      clockRate: ClockRate,
      channels: Type.Optional(Channels),
      parameters: Type.Optional(Parameters),
      rtcpFeedback: Type.Optional(Type.Array(RtcpFeedback, { maxItems: 16 })),
    }),
    { minItems: 1, maxItems: 8 },
  ),
  headerExtensions: Type.Optional(
    Type.Array(
      Type.Object({
        uri: text(128),
        id: integer(1, 255),
        encrypt: Type.Optional(Type.Boolean()),
        parameters: Type.Optional(Parameters),
      }),
      { maxItems: 32 },
    ),
  ),
  encodings: Type.Array(
    Type.Object({
      ssrc: Type.Optional(Ssrc),
      rid: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9]{1,16}$' })),
      codecPayloadType: Type.Optional(PayloadType),
      rtx: Type.Optional(Type.Object({ ssrc: Ssrc })),
      dtx: Type.Optional(Type.Boolean()),
      // https://www.w3.org/TR/webrtc-svc/#scalabilitymodes*
      scalabilityMode: Type.Optional(Type.String({ pattern: '^[LS][1-3]T[1-3]h?(_KEY(_SHIFT)?)?$' })),
      maxBitrate: Type.Optional(integer(0, 1_000_000_000)),
    }),
    { minItems: 1, maxItems: 3 },
  ),
  rtcp: Type.Optional(
    Type.Object({ cname: Type.Optional(text(255)), reducedSize: Type.Optional(Type.Boolean()) }),
  ),
  msid: Type.Optional(text(255)),
});

const ClientRtpCapabilities = Type.Object({
  codecs: Type.Array(
    Type.Object({
      kind: Kind,
      mimeType: MimeType,
      preferredPayloadType: Type.Optional(PayloadType),
      clockRate: ClockRate,
      channels: Type.Optional(Channels),
      parameters: Type.Optional(Parameters),
      rtcpFeedback: Type.Optional(Type.Array(RtcpFeedback, { maxItems: 16 })),
    }),
    { maxItems: 64 },
  ),
  headerExtensions: Type.Optional(
    Type.Array(
      Type.Object({
        kind: Kind,
        uri: text(128),
        preferredId: integer(1, 255),
        preferredEncrypt: Type.Optional(Type.Boolean()),
        direction: Type.Optional(text(16)),
      }),
      { maxItems: 64 },
    ),
  ),
});
