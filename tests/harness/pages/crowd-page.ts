// Runs in a page: publishers and many viewers, with the real clients, or at a bare SFU with nothing but mediasoup-client.
import { Device } from 'mediasoup-client';
import type { Transport } from 'mediasoup-client/types';
import type { BareSfuCalls } from '../../../sfu/testing/bare-sfu.ts';
import { SfuReceiver } from '../../../dashboard/src/player/sfu-receiver.ts';
import { SFU } from '../../../desktop/src/renderer/config.ts';
import { SfuPublisher } from '../../../desktop/src/renderer/sfu-publisher.ts';
import { ASK_BARE_SFU, type CrowdPageApi, type ReceivedPackets } from '../crowd-page-api.ts';
import type { PublishedPicture } from '../live-page-api.ts';
import { drawnTrack } from './drawn-track.ts';

const FULL_PREFERENCE = { isPaused: false, maxSpatialLayer: null, priority: 1 };

const connections: RTCPeerConnection[] = [];

/**
 * Every packet is received, decrypted, acknowledged and put together, but only key pictures are decoded, which ask for
 * another one every few seconds: two cores can receive for many viewers, and not decode for them.
 */
const dropDeltas = new Worker(
  URL.createObjectURL(
    new Blob([
      `onrtctransform = ({ transformer: { readable, writable } }) =>
        readable
          .pipeThrough(new TransformStream({ transform: (frame, out) => frame.type === 'key' && out.enqueue(frame) }))
          .pipeTo(writable);`,
    ]),
  ),
);

const NativePeerConnection = window.RTCPeerConnection;
window.RTCPeerConnection = class extends NativePeerConnection {
  constructor(configuration?: RTCConfiguration) {
    super(configuration);
    connections.push(this);
    this.addEventListener('track', ({ receiver }) => {
      receiver.transform = new RTCRtpScriptTransform(dropDeltas);
    });
  }
};

function publish(options: Parameters<CrowdPageApi['publish']>[0]): Promise<void> {
  const { url, token, streamId } = options;
  return new Promise((resolve) => {
    const publisher = new SfuPublisher({
      track: drawnTrack(options),
      readAccess: async () => ({ url, token, streamId, renewInMs: 3_600_000 }),
      onChanged: ({ kind }) => kind === 'live' && resolve(),
    });
    publisher.start();
  });
}

async function view(accesses: Parameters<CrowdPageApi['view']>[0]): Promise<void> {
  const [first] = accesses;
  if (!first) return;
  const receiver = new SfuReceiver({
    createToken: async () => ({ url: first.url, token: first.token }),
    openSocket: (address) => new WebSocket(address),
    schedule: (callback, delayMs) => {
      const timer = setTimeout(callback, delayMs);
      return () => clearTimeout(timer);
    },
    nowMs: () => performance.now(),
  });
  const tracks = accesses.map(
    ({ streamId }) =>
      new Promise<MediaStreamTrack>((onTrack, onEnded) =>
        receiver.receive(streamId, { onTrack, onEnded }, FULL_PREFERENCE),
      ),
  );
  await Promise.all(tracks);
}

/** One call of the bare SFU. What it answers is what its method says. */
async function ask<M extends keyof BareSfuCalls>(
  method: M,
  ...params: Parameters<BareSfuCalls[M]>
): Promise<Awaited<ReturnType<BareSfuCalls[M]>>> {
  const call = Reflect.get(window, ASK_BARE_SFU) as (method: string, params: unknown) => Promise<never>;
  return call(method, params[0]);
}

async function openDevice(): Promise<Device> {
  const device = await Device.factory({ handlerName: 'Chrome111' });
  await device.load({ routerRtpCapabilities: await ask('capabilities') });
  return device;
}

async function publishBare(streamId: string, picture: PublishedPicture): Promise<void> {
  const device = await openDevice();
  const transport = device.createSendTransport(await ask('createTransport'));
  answerConnect(transport);
  transport.on('produce', ({ kind, rtpParameters }, accept, refuse) => {
    ask('produce', { transportId: transport.id, streamId, kind, rtpParameters }).then(
      (id) => accept({ id }),
      refuse,
    );
  });
  const producer = await transport.produce({
    track: drawnTrack(picture),
    encodings: SFU.encodings.map((encoding) => ({ ...encoding })),
    codecOptions: { videoGoogleStartBitrate: SFU.startBitrateKbps },
  });
  const parameters = producer.rtpSender?.getParameters();
  if (!parameters) throw new Error('The producer has no sender.');
  await producer.rtpSender?.setParameters({ ...parameters, degradationPreference: 'maintain-resolution' });
}

async function viewBare(streamIds: readonly string[]): Promise<void> {
  const device = await openDevice();
  const transport = device.createRecvTransport(await ask('createTransport'));
  answerConnect(transport);
  for (const streamId of streamIds) {
    const { recvRtpCapabilities: rtpCapabilities } = device;
    const options = await ask('consume', { transportId: transport.id, streamId, rtpCapabilities });
    const consumer = await transport.consume(options);
    await ask('resume', { consumerId: consumer.id });
  }
}

function answerConnect(transport: Transport): void {
  transport.on('connect', ({ dtlsParameters }, accept, refuse) => {
    ask('connect', { transportId: transport.id, dtlsParameters }).then(accept, refuse);
  });
}

async function received(): Promise<ReceivedPackets> {
  const reports = await Promise.all(connections.map((connection) => connection.getStats()));
  const entries = reports
    .flatMap((report) => [...report.values()] as Record<string, unknown>[])
    .filter(({ type, kind }) => type === 'inbound-rtp' && kind === 'video');
  const sum = (key: string): number => entries.reduce((total, entry) => total + Number(entry[key] ?? 0), 0);
  return { packets: sum('packetsReceived'), bytes: sum('bytesReceived'), lost: sum('packetsLost') };
}

const api: CrowdPageApi = { publish, view, publishBare, viewBare, received };

Object.assign(window, { testPage: api });
