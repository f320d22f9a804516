/**
 * Signalling of the SFU: one websocket a client, first request `authenticate`, any number of streams after it.
 * Transport, producer and consumer are mediasoup's words and its types. Their inside is open here; the SFU checks it
 * strictly before mediasoup sees it (docs/decisions/0005-media-parameters.md).
 * Numbered rules: docs/protocol.md, section S.
 */
import { Type, type Static } from 'typebox';
import type {
  DtlsParameters,
  IceCandidate,
  IceParameters,
  MediaKind,
  RtpCapabilities,
  RtpParameters,
} from 'mediasoup-client/types';
import { StreamId } from './ids.ts';

export const SFU_PATH = '/signaling';

/** A client must authenticate within this time. */
export const SFU_AUTHENTICATION_TIMEOUT_MS = 5_000;
/** Largest signalling frame; an SDP-sized RTP parameter object is about 5 kB. */
export const SFU_MAX_MESSAGE_BYTES = 64 * 1024;

const MediasoupId = Type.String({ minLength: 1, maxLength: 64 });
const Kind = Type.Unsafe<MediaKind>(Type.Union([Type.Literal('video'), Type.Literal('audio')]));
const Rtp = Type.Unsafe<RtpParameters>(Type.Object({}));
const Capabilities = Type.Unsafe<RtpCapabilities>(Type.Object({}));
const Dtls = Type.Unsafe<DtlsParameters>(Type.Object({}));
const Ice = Type.Unsafe<IceParameters>(Type.Object({}));
const Candidates = Type.Unsafe<IceCandidate[]>(Type.Array(Type.Object({})));
const Nothing = Type.Object({});

/** What `Device.createSendTransport` and `createRecvTransport` of mediasoup-client need. */
export const TransportOptions = Type.Object({
  id: MediasoupId,
  iceParameters: Ice,
  iceCandidates: Candidates,
  dtlsParameters: Dtls,
});
export type TransportOptions = Static<typeof TransportOptions>;

/** What `transport.consume` of mediasoup-client needs. */
export const ConsumerOptions = Type.Object({
  id: MediasoupId,
  producerId: MediasoupId,
  kind: Kind,
  rtpParameters: Rtp,
});
export type ConsumerOptions = Static<typeof ConsumerOptions>;

export const SFU_REQUESTS = {
  /** First request; again with a newer token before the old one expires. Answers when the token expires. */
  authenticate: {
    params: Type.Object({ token: Type.String({ minLength: 20, maxLength: 4096 }) }),
    result: Type.Object({ expiresAtMs: Type.Integer() }),
  },
  /** Opens the stream of the token for publishing; a stream that this device publishes already is taken over. */
  publish: {
    params: Type.Object({ streamId: StreamId }),
    result: Type.Object({ routerRtpCapabilities: Capabilities, transport: TransportOptions }),
  },
  produce: {
    params: Type.Object({ streamId: StreamId, kind: Kind, rtpParameters: Rtp }),
    result: Type.Object({ producerId: MediasoupId }),
  },
  /** Opens a transport to watch a stream. Refused with `STREAM_OFFLINE` when nobody publishes it. */
  view: {
    params: Type.Object({ streamId: StreamId }),
    result: Type.Object({ routerRtpCapabilities: Capabilities, transport: TransportOptions }),
  },
  /** Creates a paused consumer for each producer of the stream that has none yet on this connection. */
  consume: {
    params: Type.Object({ streamId: StreamId, rtpCapabilities: Capabilities }),
    result: Type.Object({ consumers: Type.Array(ConsumerOptions) }),
  },
  /** Starts the consumer; a video consumer gets a keyframe at once. */
  resumeConsumer: { params: Type.Object({ streamId: StreamId, consumerId: MediasoupId }), result: Nothing },
  /** Second half of the DTLS handshake for the connection's transport of this stream. */
  connectTransport: { params: Type.Object({ streamId: StreamId, dtlsParameters: Dtls }), result: Nothing },
  restartIce: {
    params: Type.Object({ streamId: StreamId }),
    result: Type.Object({ iceParameters: Ice }),
  },
  /** Ends publishing or viewing of the stream on this connection. */
  leave: { params: Type.Object({ streamId: StreamId }), result: Nothing },
} as const;

export const SFU_NOTIFICATIONS = {
  /** To viewers: there is something new to `consume`. */
  producerAdded: Type.Object({ streamId: StreamId, kind: Kind }),
  /** To viewers: the consumer is gone because its producer is. */
  consumerClosed: Type.Object({ streamId: StreamId, consumerId: MediasoupId }),
  /** To viewers and to a publisher that was taken over: the stream on this connection is over; `view` again later. */
  streamClosed: Type.Object({
    streamId: StreamId,
    code: Type.Union([
      Type.Literal('STREAM_OFFLINE'),
      Type.Literal('STREAM_TAKEN'),
      Type.Literal('WORKER_DIED'),
      Type.Literal('SHUTTING_DOWN'),
    ]),
  }),
  /** To the publisher: how many viewers the stream has on this SFU. */
  viewers: Type.Object({ streamId: StreamId, viewerCount: Type.Integer({ minimum: 0 }) }),
} as const;
