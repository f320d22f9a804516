/**
 * What the SFU is measured against: one mediasoup worker with the same codecs and the same kind of transports, and no
 * code of ours around it. Clients ask it for what they need by plain calls.
 */
import { createWorker } from 'mediasoup';
import type * as server from 'mediasoup/types';
import type {
  ConsumerOptions,
  DtlsParameters,
  MediaKind,
  RtpCapabilities,
  RtpParameters,
  TransportOptions,
} from 'mediasoup-client/types';
import { KEYFRAME_REQUEST_DELAY_MS, MEDIA_CODECS, TRANSPORT_OPTIONS } from '../src/media-options.ts';

/**
 * What a client can ask for, in the types of mediasoup-client, which lists the same URIs of header extensions in other
 * types than mediasoup. Parameters and results can be sent as JSON.
 */
export interface BareSfuCalls {
  capabilities(): Promise<RtpCapabilities>;
  createTransport(): Promise<TransportOptions>;
  connect(params: { transportId: string; dtlsParameters: DtlsParameters }): Promise<void>;
  /** Resolves with the id of the producer, which is known as `streamId` from then on. */
  produce(params: {
    transportId: string;
    streamId: string;
    kind: MediaKind;
    rtpParameters: RtpParameters;
  }): Promise<string>;
  /** Resolves with a consumer that is paused until `resume`. */
  consume(params: {
    transportId: string;
    streamId: string;
    rtpCapabilities: RtpCapabilities;
  }): Promise<ConsumerOptions>;
  resume(params: { consumerId: string }): Promise<void>;
}

export interface BareSfu {
  /** Of the worker. */
  readonly pid: number;
  readonly calls: BareSfuCalls;
  /** Ends everything that clients have opened. */
  reset(): Promise<void>;
  /** Idempotent. */
  close(): void;
}

export interface BareSettings {
  readonly initialAvailableOutgoingBitrate?: number;
  /** Which header extensions clients are offered; all that mediasoup has unless it says otherwise. */
  readonly isOffered?: (uri: string) => boolean;
}

/** With the transport options of our SFU, but for what `settings` say. */
export async function startBareSfu(settings: BareSettings = {}): Promise<BareSfu> {
  const { isOffered = () => true, ...overrides } = settings;
  const worker = await createWorker({ logLevel: 'warn' });
  try {
    const webRtcServer = await worker.createWebRtcServer({
      listenInfos: [
        { protocol: 'udp', ip: '127.0.0.1' },
        { protocol: 'tcp', ip: '127.0.0.1' },
      ],
    });
    const openRouter = () => worker.createRouter({ mediaCodecs: MEDIA_CODECS });
    let router = await openRouter();
    return {
      pid: worker.pid,
      calls: serve({
        router: () => router,
        openTransport: () =>
          router.createWebRtcTransport({ ...TRANSPORT_OPTIONS, ...overrides, webRtcServer }),
        isOffered,
      }),
      async reset() {
        router.close();
        router = await openRouter();
      },
      close: () => worker.close(),
    };
  } catch (error) {
    worker.close();
    throw error;
  }
}

function serve({
  router,
  openTransport,
  isOffered,
}: {
  router: () => server.Router;
  openTransport: () => Promise<server.WebRtcTransport>;
  isOffered: (uri: string) => boolean;
}): BareSfuCalls {
  const transports = new Map<string, server.WebRtcTransport>();
  const producerIds = new Map<string, string>();
  const resumptions = new Map<string, () => Promise<void>>();
  return {
    async capabilities() {
      const { codecs, headerExtensions = [] } = router().rtpCapabilities as RtpCapabilities;
      return {
        codecs,
        headerExtensions: headerExtensions.filter(({ uri }) => isOffered(uri)),
      } as RtpCapabilities;
    },
    async createTransport() {
      const transport = await openTransport();
      transports.set(transport.id, transport);
      const { id, iceParameters, iceCandidates, dtlsParameters } = transport;
      return { id, iceParameters, iceCandidates, dtlsParameters };
    },
    connect: ({ transportId, dtlsParameters }) => find(transports, transportId).connect({ dtlsParameters }),
    async produce({ transportId, streamId, kind, rtpParameters }) {
      const { id } = await find(transports, transportId).produce({
        kind,
        rtpParameters,
        keyFrameRequestDelay: KEYFRAME_REQUEST_DELAY_MS,
      });
      producerIds.set(streamId, id);
      return id;
    },
    async consume({ transportId, streamId, rtpCapabilities }) {
      const producerId = find(producerIds, streamId);
      const consumer = await find(transports, transportId).consume({
        producerId,
        rtpCapabilities,
        paused: true,
      });
      resumptions.set(consumer.id, () => consumer.resume());
      const { id, kind, rtpParameters } = consumer;
      return { id, producerId, kind, rtpParameters: rtpParameters as RtpParameters };
    },
    resume: ({ consumerId }) => find(resumptions, consumerId)(),
  };
}

function find<T>(things: ReadonlyMap<string, T>, name: string): T {
  const thing = things.get(name);
  if (thing === undefined) throw new Error(`The bare SFU knows no ${name}.`);
  return thing;
}
