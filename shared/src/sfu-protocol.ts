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

/** A server for a client that cannot reach the SFU itself; the `RTCIceServer` of a browser. */
export const IceServer = Type.Object({
  urls: Type.Array(Type.String({ maxLength: 256 }), { minItems: 1, maxItems: 16 }),
  username: Type.String({ maxLength: 256 }),
  credential: Type.String({ maxLength: 256 }),
});
export type IceServer = Static<typeof IceServer>;

/** How a viewer wants one stream at the moment. */
export const ViewPreference = Type.Object({
  /** No picture is sent: the stream is not to be seen at the moment. */
  isPaused: Type.Boolean(),
  /** Its sound is sent as well, if it has any, whether or not the picture is. */
  isHeard: Type.Boolean(),
  /** The highest layer that is of use, 0 being the smallest picture; null: the best there is. */
  maxSpatialLayer: Type.Union([Type.Integer({ minimum: 0, maximum: 2 }), Type.Null()]),
  /** Among the streams of one transport; the one with the higher number gets its layers first. */
  priority: Type.Integer({ minimum: 1, maximum: 255 }),
});
export type ViewPreference = Static<typeof ViewPreference>;

const DelayMs = Type.Number({ minimum: 0, maximum: 600_000 });

/** What a viewer sees of one stream. */
export const ViewReading = Type.Object({
  widthPx: Type.Integer({ minimum: 0, maximum: 65_535 }),
  heightPx: Type.Integer({ minimum: 0, maximum: 65_535 }),
  framesPerSecond: Type.Number({ minimum: 0, maximum: 1_000 }),
  /** Since it joined (`freezeCount` of W3C WebRTC Statistics). */
  freezeCount: Type.Integer({ minimum: 0, maximum: 1_000_000 }),
  /** From the capture to this screen; null while it is not known. */
  delayMs: Type.Optional(Type.Union([DelayMs, Type.Null()])),
});
export type ViewReading = Static<typeof ViewReading>;

export const SFU_REQUESTS = {
  /**
   * First request; again with a newer token before the old one expires. Answers when the token expires, what a device
   * of mediasoup-client is loaded with, and through which servers the SFU can be reached beside directly.
   */
  authenticate: {
    params: Type.Object({ token: Type.String({ minLength: 20, maxLength: 4096 }) }),
    result: Type.Object({
      expiresAtMs: Type.Integer(),
      routerRtpCapabilities: Capabilities,
      iceServers: Type.Array(IceServer, { maxItems: 8 }),
    }),
  },
  /** Opens the stream of the token for publishing; a stream that this device publishes already is taken over. */
  publish: {
    params: Type.Object({ streamId: StreamId }),
    result: Type.Object({ transport: TransportOptions }),
  },
  produce: {
    params: Type.Object({ streamId: StreamId, kind: Kind, rtpParameters: Rtp }),
    result: Type.Object({ producerId: MediasoupId }),
  },
  /**
   * Opens a stream for watching, with a paused consumer for each of its producers. Many streams share a transport: it
   * is known by its id, and new to the client only the first time. Refused with `STREAM_OFFLINE` when nobody publishes.
   */
  view: {
    params: Type.Object({
      streamId: StreamId,
      rtpCapabilities: Capabilities,
      preference: Type.Optional(ViewPreference),
    }),
    result: Type.Object({ transport: TransportOptions, consumers: Type.Array(ConsumerOptions) }),
  },
  /** Creates a paused consumer for each producer of the stream that has none yet on this connection. */
  consume: {
    params: Type.Object({ streamId: StreamId, rtpCapabilities: Capabilities }),
    result: Type.Object({ consumers: Type.Array(ConsumerOptions) }),
  },
  /** Starts the consumer; a video consumer gets a keyframe at once. */
  resumeConsumer: { params: Type.Object({ streamId: StreamId, consumerId: MediasoupId }), result: Nothing },
  /** Says how a stream is wanted from now on. */
  prefer: { params: Type.Object({ streamId: StreamId, preference: ViewPreference }), result: Nothing },
  /** What the client sees of its streams, every few seconds; of streams that it does not view nothing is taken. */
  report: {
    params: Type.Object({
      readings: Type.Array(Type.Object({ streamId: StreamId, reading: ViewReading }), { maxItems: 100 }),
    }),
    result: Nothing,
  },
  /** From the publisher, every few seconds while it sends: what its pictures take from the capture to the SFU. */
  reportSending: { params: Type.Object({ streamId: StreamId, delayMs: DelayMs }), result: Nothing },
  /** Second half of the DTLS handshake. */
  connectTransport: {
    params: Type.Object({ transportId: MediasoupId, dtlsParameters: Dtls }),
    result: Nothing,
  },
  restartIce: {
    params: Type.Object({ transportId: MediasoupId }),
    result: Type.Object({ iceParameters: Ice }),
  },
  /** Ends a transport for watching and all that comes over it; the next `view` opens another one. */
  closeTransport: { params: Type.Object({ transportId: MediasoupId }), result: Nothing },
  /** Ends publishing or viewing of the stream on this connection. Transports for watching stay for the next stream. */
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
  /**
   * To viewers: what pictures take from the capture to the SFU, as the publisher has reported it last; null: another
   * publisher has taken over, and has not said yet.
   */
  sendingDelay: Type.Object({ streamId: StreamId, delayMs: Type.Union([DelayMs, Type.Null()]) }),
  /** To viewers whose `view` was refused with `STREAM_OFFLINE`, or who were told `streamClosed`: it has a picture now. */
  streamOnline: Type.Object({ streamId: StreamId }),
  /** To viewers: the transport is gone at the SFU, and every stream that was viewed over it is over. */
  transportClosed: Type.Object({ transportId: MediasoupId }),
  /**
   * To the publisher: how many viewers the stream has on this SFU, and whether anything is to be sent at all. Until it
   * is told otherwise nothing is wanted.
   */
  viewers: Type.Object({
    streamId: StreamId,
    viewerCount: Type.Integer({ minimum: 0 }),
    isWanted: Type.Boolean(),
  }),
} as const;
