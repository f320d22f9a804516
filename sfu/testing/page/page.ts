/** A publisher and viewer in a real browser, as thin as the protocol allows. */
import {
  RpcClient,
  SFU_NOTIFICATIONS,
  SFU_REQUESTS,
  type ConsumerOptions,
  type TransportOptions,
  type ViewPreference,
} from '@proofcast/shared';
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

/** What all streams of one token share. */
interface Link {
  readonly rpc: Rpc;
  readonly device: Device;
  /** For viewing, by id. */
  readonly transports: Map<string, Transport>;
}

interface Seat {
  readonly link: Link;
  readonly transport: Transport;
  readonly consumers: Consumer[];
  readonly pictures: EventTarget & { count: number };
}

const ENCODINGS: Readonly<Record<PublishOptions['layers'], RtpEncodingParameters[]>> = {
  none: [{ maxBitrate: 1_000_000 }],
  simulcast: [
    { rid: 'low', maxBitrate: 200_000, scaleResolutionDownBy: 2, scalabilityMode: 'L1T1' },
    { rid: 'high', maxBitrate: 1_000_000, scalabilityMode: 'L1T1' },
  ],
};

const seats = new Map<string, Seat>();
const connections = new Map<string, Promise<Link>>();
const notifications: { name: string; params: Record<string, unknown> }[] = [];
const arrivals = new EventTarget();

/** One connection a token; a stream that ended is joined again over the same one. */
function connect({ url, token }: { url: string; token: string }): Promise<Link> {
  const open = connections.get(token) ?? connectAnew(url, token);
  connections.set(token, open);
  return open;
}

async function connectAnew(url: string, token: string): Promise<Link> {
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
      sendingDelay: record('sendingDelay'),
      streamOnline: record('streamOnline'),
      streamClosed: record('streamClosed'),
      transportClosed: record('transportClosed'),
      viewers: record('viewers'),
    },
    timeoutMs: 10_000,
  });
  socket.addEventListener('message', ({ data }) => rpc.receive(String(data)));
  const { routerRtpCapabilities } = await rpc.request('authenticate', { token });
  // By name: the detection does not know headless Chromium's user agent.
  const device = await Device.factory({ handlerName: 'Chrome111' });
  await device.load({ routerRtpCapabilities });
  return { rpc, device, transports: new Map() };
}

async function publish(options: PublishOptions): Promise<void> {
  const { streamId } = options;
  const link = await connect(options);
  const { rpc, device } = link;
  const joined = await rpc.request('publish', { streamId });
  const transport = device.createSendTransport(joined.transport);
  answerConnect(transport, rpc);
  transport.on('produce', ({ kind, rtpParameters }, accept, refuse) => {
    rpc
      .request('produce', { streamId, kind, rtpParameters })
      .then(({ producerId }) => accept({ id: producerId }))
      .catch(refuse);
  });
  seats.set(streamId, seatOf({ link, transport }));
  await transport.produce({
    track: stampedTrack(options.colour),
    encodings: ENCODINGS[options.layers],
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
  const link = await connect(options);
  const { rpc, device, transports } = link;
  const rtpCapabilities = device.recvRtpCapabilities;
  const { transport: offered, consumers } = await rpc.request('view', { streamId, rtpCapabilities });
  const transport = transports.get(offered.id) ?? receiveFrom(link, { ...options, offered });
  transports.set(offered.id, transport);
  const seat = seatOf({ link, transport });
  seats.set(streamId, seat);
  await Promise.all(consumers.map((consumer) => play(seat, { streamId, options: consumer })));
}

function receiveFrom(
  { rpc, device }: Link,
  { offered, protocol }: Pick<ViewOptions, 'protocol'> & { offered: TransportOptions },
): Transport {
  const iceCandidates = offered.iceCandidates.filter((candidate) => candidate.protocol === protocol);
  const transport = device.createRecvTransport({ ...offered, iceCandidates });
  answerConnect(transport, rpc);
  return transport;
}

async function consume(streamId: string): Promise<void> {
  const seat = seatOn(streamId);
  const { rpc, device } = seat.link;
  const rtpCapabilities = device.recvRtpCapabilities;
  const { consumers } = await rpc.request('consume', { streamId, rtpCapabilities });
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
    seat.link.rpc.request('resumeConsumer', { streamId, consumerId: consumer.id }),
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

function answerConnect(transport: Transport, rpc: Rpc): void {
  transport.on('connect', ({ dtlsParameters }, accept, refuse) => {
    rpc
      .request('connectTransport', { transportId: transport.id, dtlsParameters })
      .then(() => accept())
      .catch(refuse);
  });
}

function seatOf(parts: Pick<Seat, 'link' | 'transport'>): Seat {
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

async function prefer(streamId: string, preference: ViewPreference): Promise<void> {
  await seatOn(streamId).link.rpc.request('prefer', { streamId, preference });
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
  prefer,
  selectedPath,
  pictureCount: (streamId) => seatOn(streamId).pictures.count,
  hangUp: (streamId) => seatOn(streamId).transport.close(),
  leave: async (streamId) => {
    await seatOn(streamId).link.rpc.request('leave', { streamId });
  },
};
