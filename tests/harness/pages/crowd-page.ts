// Runs in a page: publishers and many viewers, with the real clients, or at a bare SFU with nothing but mediasoup-client.
import { SfuReceiver } from '../../../dashboard/src/player/sfu-receiver.ts';
import { SfuPublisher } from '../../../desktop/src/renderer/sfu-publisher.ts';
import type { CrowdPageApi, ReceivedPackets } from '../crowd-page-api.ts';
import { publishBare, viewBare } from './bare-client.ts';
import { drawnTrack } from './drawn-track.ts';

const FULL_PREFERENCE = { isPaused: false, isHeard: false, maxSpatialLayer: null, priority: 1 };

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
      tracks: { picture: drawnTrack(options), sound: null },
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
    onSessionOpened: () => undefined,
    onStreamOnline: () => undefined,
  });
  const tracks = accesses.map(
    ({ streamId }) =>
      new Promise<MediaStreamTrack>((onTrack, onEnded) =>
        receiver.receive(streamId, { onTrack, onEnded, onSound: () => undefined }, FULL_PREFERENCE),
      ),
  );
  await Promise.all(tracks);
}

async function received(): Promise<ReceivedPackets> {
  const reports = await Promise.all(connections.map((connection) => connection.getStats()));
  const entries = reports
    .flatMap((report) => [...report.values()] as Record<string, unknown>[])
    .filter(({ type, kind }) => type === 'inbound-rtp' && kind === 'video');
  const sum = (key: string): number => entries.reduce((total, entry) => total + Number(entry[key] ?? 0), 0);
  return { packets: sum('packetsReceived'), bytes: sum('bytesReceived'), lost: sum('packetsLost') };
}

const api: CrowdPageApi = {
  publish,
  view,
  publishBare: (streamId, picture) =>
    publishBare({ streamId, track: drawnTrack(picture), isLayered: true, isTuned: true }),
  viewBare: async (streamIds) => void (await viewBare(streamIds)),
  received,
};

Object.assign(window, { testPage: api });
