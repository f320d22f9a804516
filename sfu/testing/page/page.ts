/** A publisher and viewer in a real browser, as thin as the protocol allows. */
import { RpcClient, SFU_NOTIFICATIONS, SFU_REQUESTS, type ConsumerOptions } from '@proofcast/shared';
import { Device } from 'mediasoup-client';
import type { Consumer, RtpEncodingParameters, Transport } from 'mediasoup-client/types';
import type { Colour, Picture, PublishOptions, TestPage, ViewOptions } from './api.ts';
import { createPictureReader, stampedTrack } from './stamped-picture.ts';

declare global {
  interface Window {
    testPage: TestPage;
  }
}

type Rpc = RpcClient<typeof SFU_REQUESTS, typeof SFU_NOTIFICATIONS>;

interface Seat {
  readonly rpc: Rpc;
  readonly device: Device;
  readonly transport: Transport;
  readonly consumers: Consumer[];
  readonly pictures: EventTarget & { count: number };
}

const ENCODINGS: Readonly<Record<PublishOptions['layers'], RtpEncodingParameters[]>> = {
  none: [{ maxBitrate: 1_000_000 }],
  svc: [{ maxBitrate: 1_000_000, scalabilityMode: 'L1T3' }],
  simulcast: [
    { rid: 'low', maxBitrate: 200_000, scaleResolutionDownBy: 2, scalabilityMode: 'L1T1' },
    { rid: 'high', maxBitrate: 1_000_000, scalabilityMode: 'L1T1' },
  ],
};

const seats = new Map<string, Seat>();
const connections = new Map<string, Promise<Rpc>>();
const notifications: { name: string; params: Record<string, unknown> }[] = [];
const arrivals = new EventTarget();

/** One connection a token; a stream that ended is joined again over the same one. */
function connect({ url, token }: { url: string; token: string }): Promise<Rpc> {
  const open = connections.get(token) ?? connectAnew(url, token);
  connections.set(token, open);
  return open;
}

async function connectAnew(url: string, token: string): Promise<Rpc> {
  const socket = new WebSocket(url);
  await new Promise((resolve, reject) => {
    socket.addEventListener('open', resolve);
    socket.addEventListener('error', () => reject(new Error(`Cannot connect to ${url}.`)));
  });
  const record = (name: string) => (params: Record<string, unknown>) => {
    notifications.push({ name, params });
    arrivals.dispatchEvent(new Event('arrival'));
  };
  const rpc: Rpc = new RpcClient({
    requests: SFU_REQUESTS,
    notifications: SFU_NOTIFICATIONS,
    send: (text) => socket.send(text),
    onNotification: {
      producerAdded: record('producerAdded'),
      consumerClosed: record('consumerClosed'),
      streamClosed: record('streamClosed'),
      viewers: record('viewers'),
    },
    timeoutMs: 10_000,
  });
  socket.addEventListener('message', ({ data }) => rpc.receive(String(data)));
  await rpc.request('authenticate', { token });
  return rpc;
}

async function publish(options: PublishOptions): Promise<void> {
  const { streamId } = options;
  const rpc = await connect(options);
  const joined = await rpc.request('publish', { streamId });
  // By name: the detection does not know headless Chromium's user agent.
  const device = await Device.factory({ handlerName: 'Chrome111' });
  await device.load({ routerRtpCapabilities: joined.routerRtpCapabilities });
  const transport = device.createSendTransport(joined.transport);
  answerConnect(transport, { rpc, streamId });
  transport.on('produce', ({ kind, rtpParameters }, accept, refuse) => {
    rpc
      .request('produce', { streamId, kind, rtpParameters })
      .then(({ producerId }) => accept({ id: producerId }))
      .catch(refuse);
  });
  seats.set(streamId, seatOf({ rpc, device, transport }));
  const codec = device.recvRtpCapabilities.codecs?.find(({ mimeType }) => mimeType === options.mimeType);
  await transport.produce({
    track: stampedTrack(options.colour),
    encodings: ENCODINGS[options.layers],
    ...(codec ? { codec } : {}),
  });
  if (options.withSound) await transport.produce({ track: tone() });
}

function tone(): MediaStreamTrack {
  const context = new AudioContext();
  const oscillator = context.createOscillator();
  const destination = context.createMediaStreamDestination();
  oscillator.connect(destination);
  oscillator.start();
  const [track] = destination.stream.getAudioTracks();
  if (!track) throw new Error('This browser makes no sound.');
  return track;
}

async function view(options: ViewOptions): Promise<void> {
  const { streamId } = options;
  const rpc = await connect(options);
  const joined = await rpc.request('view', { streamId });
  const device = await Device.factory({ handlerName: 'Chrome111' });
  await device.load({ routerRtpCapabilities: joined.routerRtpCapabilities });
  const iceCandidates = joined.transport.iceCandidates.filter(
    ({ protocol }) => protocol === options.protocol,
  );
  const transport = device.createRecvTransport({ ...joined.transport, iceCandidates });
  answerConnect(transport, { rpc, streamId });
  seats.set(streamId, seatOf({ rpc, device, transport }));
  await consume(streamId);
}

async function consume(streamId: string): Promise<void> {
  const seat = seatOn(streamId);
  const { consumers } = await seat.rpc.request('consume', {
    streamId,
    rtpCapabilities: seat.device.recvRtpCapabilities,
  });
  await Promise.all(consumers.map((options) => play(seat, { streamId, options })));
}

async function play(
  seat: Seat,
  { streamId, options }: { streamId: string; options: ConsumerOptions },
): Promise<void> {
  const consumer = await seat.transport.consume(options);
  seat.consumers.push(consumer);
  const video = document.createElement('video');
  video.muted = true;
  video.srcObject = new MediaStream([consumer.track]);
  if (consumer.kind === 'video') reportPictures(video, seat.pictures);
  await Promise.all([
    consumer.kind === 'video' ? video.play() : undefined,
    seat.rpc.request('resumeConsumer', { streamId, consumerId: consumer.id }),
  ]);
}

function reportPictures(video: HTMLVideoElement, feed: Seat['pictures']): void {
  const read = createPictureReader();
  const onFrame = (): void => {
    feed.count += 1;
    feed.dispatchEvent(new CustomEvent<Picture>('picture', { detail: read(video) }));
    video.requestVideoFrameCallback(onFrame);
  };
  video.requestVideoFrameCallback(onFrame);
}

function answerConnect(transport: Transport, { rpc, streamId }: { rpc: Rpc; streamId: string }): void {
  transport.on('connect', ({ dtlsParameters }, accept, refuse) => {
    rpc
      .request('connectTransport', { streamId, dtlsParameters })
      .then(() => accept())
      .catch(refuse);
  });
}

function seatOf(parts: Pick<Seat, 'rpc' | 'device' | 'transport'>): Seat {
  return { ...parts, consumers: [], pictures: Object.assign(new EventTarget(), { count: 0 }) };
}

function seatOn(streamId: string): Seat {
  const seat = seats.get(streamId);
  if (!seat) throw new Error(`This page has no part in stream ${streamId}.`);
  return seat;
}

function pictures(streamId: string, colour: Colour, count: number): Promise<Picture> {
  const { pictures: source } = seatOn(streamId);
  return new Promise((resolve) => {
    let missing = count;
    const onPicture = (event: Event): void => {
      const picture = (event as CustomEvent<Picture>).detail;
      if (picture.colour !== colour) return;
      missing -= 1;
      if (missing > 0) return;
      source.removeEventListener('picture', onPicture);
      resolve(picture);
    };
    source.addEventListener('picture', onPicture);
  });
}

async function next(name: string): Promise<Record<string, unknown>> {
  for (;;) {
    const index = notifications.findIndex((notification) => notification.name === name);
    if (index >= 0) return notifications.splice(index, 1)[0]?.params ?? {};
    await new Promise((resolve) => arrivals.addEventListener('arrival', resolve, { once: true }));
  }
}

async function audioPackets(streamId: string): Promise<number> {
  let packets = 0;
  for (const consumer of seatOn(streamId).consumers.filter(({ kind }) => kind === 'audio')) {
    const stats = await consumer.getStats();
    for (const stat of stats.values()) if (stat.type === 'inbound-rtp') packets += stat.packetsReceived;
  }
  return packets;
}

async function selectedPath(streamId: string): Promise<{ protocol: string; port: number }> {
  const stats = await seatOn(streamId).transport.getStats();
  const all: Record<string, unknown>[] = [...stats.values()];
  const pair = all.find(({ type, nominated }) => type === 'candidate-pair' && nominated);
  const remote = all.find(({ id }) => id === pair?.['remoteCandidateId']);
  return { protocol: String(remote?.['protocol']), port: Number(remote?.['port']) };
}

window.testPage = {
  publish,
  view,
  consume,
  pictures,
  next,
  audioPackets,
  selectedPath,
  pictureCount: (streamId) => seatOn(streamId).pictures.count,
  hangUp: (streamId) => seatOn(streamId).transport.close(),
  leave: async (streamId) => {
    await seatOn(streamId).rpc.request('leave', { streamId });
  },
};
