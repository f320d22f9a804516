// Runs in a page: the real publisher of the desktop app, and the real receiver of the dashboard.
import { SfuPlayer } from '../../../dashboard/src/player/sfu-player.ts';
import { SfuReceiver } from '../../../dashboard/src/player/sfu-receiver.ts';
import { createVideo } from '../../../dashboard/src/player/video-element.ts';
import { SfuPublisher, type LivePath } from '../../../desktop/src/renderer/sfu-publisher.ts';
import type {
  LiveAccess,
  LivePageApi,
  PublishedPicture,
  ReceivedVideo,
  SentVideo,
} from '../live-page-api.ts';
import { decodeStamp, STAMP_HEIGHT_FRACTION, STAMP_SAMPLE } from '../stamp.ts';
import { publishBare, viewBare } from './bare-client.ts';
import { drawnTrack } from './drawn-track.ts';

const connections: RTCPeerConnection[] = [];
const players = new Map<string, { player: SfuPlayer; lost: string | null }>();
const paths: LivePath[] = [];
const events = new EventTarget();
let receiver: SfuReceiver | undefined;
let drawn = 0;
let offered: RTCPeerConnection | undefined;

/** As the publisher's own limit for its large layer. */
const PEER_MAX_BITRATE = 3_500_000;

/** mediasoup-client names layers itself, from the smallest on. */
const SMALLEST_RID = 'r0';

/** So that statistics can be read of what is otherwise nobody's business. */
const NativePeerConnection = window.RTCPeerConnection;
window.RTCPeerConnection = class extends NativePeerConnection {
  constructor(configuration?: RTCConfiguration) {
    super(configuration);
    connections.push(this);
  }
};

const schedule = (callback: () => void, delayMs: number): (() => void) => {
  const timer = setTimeout(callback, delayMs);
  return () => clearTimeout(timer);
};

/** Resolves when `isSo` is, asked again at each event. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => events.addEventListener('change', resolve, { once: true }));
}

function change(): void {
  events.dispatchEvent(new Event('change'));
}

function stampedTrack(options: PublishedPicture): MediaStreamTrack {
  return drawnTrack(options, () => {
    drawn += 1;
    change();
  });
}

async function publish(options: Parameters<LivePageApi['publish']>[0]): Promise<void> {
  const { url, token, streamId } = options;
  const publisher = new SfuPublisher({
    tracks: { picture: stampedTrack(options), sound: null },
    readAccess: async () => ({ url, token, streamId, renewInMs: 3_600_000 }),
    onChanged: (path) => {
      paths.push(path);
      change();
    },
  });
  publisher.start();
  await until(() => publisher.path.kind === 'live');
}

function receiverOf({ url, token }: LiveAccess): SfuReceiver {
  receiver ??= new SfuReceiver({
    createToken: async () => ({ url, token }),
    openSocket: (address) => new WebSocket(address),
    schedule,
    onSessionOpened: () => undefined,
    onStreamOnline: () => undefined,
  });
  return receiver;
}

function view(access: Parameters<LivePageApi['view']>[0]): Promise<number> {
  const { streamId } = access;
  const askedAtMs = performance.now();
  const video = appendVideo(streamId);
  return new Promise((resolve, reject) => {
    const entry: { player: SfuPlayer; lost: string | null } = {
      lost: null,
      player: new SfuPlayer(
        {
          receiver: receiverOf(access),
          streamId,
          video,
          schedule,
          nowMs: () => performance.now(),
        },
        {
          onFirstFrame: () => resolve(performance.now() - askedAtMs),
          onLost: (error) => {
            entry.lost = `${error.code}: ${error.message}`;
            reject(error);
          },
        },
      ),
    };
    players.set(streamId, entry);
  });
}

/** How old the next `count` pictures are. */
async function ages(streamId: string, count: number): Promise<number[]> {
  const seen: number[] = [];
  await watchPictures(streamId, ({ stampMs, seenAtMs }) => seen.push(seenAtMs - stampMs) === count);
  return seen;
}

async function untilDrawnAfter(streamId: string, drawnAfterMs: number): Promise<number> {
  let shownAtMs = 0;
  await watchPictures(streamId, ({ stampMs, seenAtMs }) => {
    shownAtMs = seenAtMs;
    return stampMs > drawnAfterMs;
  });
  return shownAtMs;
}

/** Reads each picture as it is shown, so that what reads them does not add to it, until `isEnough` says so. */
function watchPictures(
  streamId: string,
  isEnough: (picture: { stampMs: number; seenAtMs: number }) => boolean,
): Promise<void> {
  const video = elementOf(streamId);
  const canvas = new OffscreenCanvas(STAMP_SAMPLE.widthPx, STAMP_SAMPLE.heightPx);
  const context = canvas.getContext('2d', { willReadFrequently: true });
  if (!context) throw new Error('This browser has no 2D canvas.');
  return new Promise((resolve) => {
    const onFrame = (): void => {
      const seenAtMs = Date.now();
      const { widthPx, heightPx } = STAMP_SAMPLE;
      const stampHeightPx = video.videoHeight * STAMP_HEIGHT_FRACTION;
      context.drawImage(video, 0, 0, video.videoWidth, stampHeightPx, 0, 0, widthPx, heightPx);
      const { data } = context.getImageData(0, 0, widthPx, heightPx);
      const stampMs = decodeStamp(
        Uint8Array.from({ length: widthPx * heightPx }, (_, at) => data[at * 4 + 1] ?? 0),
      );
      if (stampMs !== null && isEnough({ stampMs, seenAtMs })) resolve();
      else video.requestVideoFrameCallback(onFrame);
    };
    video.requestVideoFrameCallback(onFrame);
  });
}

function untilFrame(streamId: string): Promise<number> {
  const video = elementOf(streamId);
  return new Promise((resolve) => video.requestVideoFrameCallback(() => resolve(Date.now())));
}

/** Resolves when all candidates are in the description, so that one exchange is enough. */
async function gathered(connection: RTCPeerConnection): Promise<string> {
  while (connection.iceGatheringState !== 'complete') {
    await new Promise((resolve) =>
      connection.addEventListener('icegatheringstatechange', resolve, { once: true }),
    );
  }
  return connection.localDescription?.sdp ?? '';
}

async function offerPeer(picture: PublishedPicture): Promise<string> {
  const connection = new RTCPeerConnection();
  offered = connection;
  const { sender } = connection.addTransceiver(stampedTrack(picture), { direction: 'sendonly' });
  preferVp8(connection);
  const { encodings, ...parameters } = sender.getParameters();
  const [encoding] = encodings;
  await sender.setParameters({
    ...parameters,
    encodings: [{ ...encoding, maxBitrate: PEER_MAX_BITRATE }],
    degradationPreference: 'maintain-resolution',
  });
  await connection.setLocalDescription();
  return gathered(connection);
}

async function answerPeer(streamId: string, sdp: string): Promise<string> {
  const connection = new RTCPeerConnection();
  const video = appendVideo(streamId);
  connection.addEventListener('track', ({ track }) => {
    video.srcObject = new MediaStream([track]);
    void video.play();
  });
  await connection.setRemoteDescription({ type: 'offer', sdp });
  await connection.setLocalDescription();
  return gathered(connection);
}

async function viewBareStream(streamId: string, jitterBufferTargetMs: number | null): Promise<void> {
  const tracks = await viewBare([streamId]);
  for (const { receiver: one } of connections.flatMap((connection) => connection.getTransceivers())) {
    if (tracks.includes(one.track)) one.jitterBufferTarget = jitterBufferTargetMs;
  }
  const video = appendVideo(streamId);
  video.srcObject = new MediaStream(tracks);
  await video.play();
}

function preferVp8(connection: RTCPeerConnection): void {
  const codecs = RTCRtpSender.getCapabilities('video')?.codecs ?? [];
  const wanted = codecs.filter(({ mimeType }) => /VP8|rtx/i.test(mimeType));
  for (const transceiver of connection.getTransceivers()) transceiver.setCodecPreferences(wanted);
}

function appendVideo(streamId: string): HTMLVideoElement {
  const video = createVideo();
  video.dataset['testid'] = `video-${streamId}`;
  document.body.append(video);
  return video;
}

function elementOf(streamId: string): HTMLVideoElement {
  const video = document.querySelector<HTMLVideoElement>(`[data-testid="video-${streamId}"]`);
  if (!video) throw new Error(`This page does not view ${streamId}.`);
  return video;
}

async function entriesOf(type: string): Promise<Record<string, unknown>[]> {
  const reports = await Promise.all(connections.map((connection) => connection.getStats()));
  return reports
    .flatMap((report) => [...report.values()] as Record<string, unknown>[])
    .filter((entry) => entry['type'] === type && entry['kind'] === 'video');
}

async function sent(): Promise<SentVideo> {
  const entries = await entriesOf('outbound-rtp');
  const sum = (key: string, of = entries): number =>
    of.reduce((total, entry) => total + Number(entry[key] ?? 0), 0);
  return {
    framesEncoded: sum('framesEncoded'),
    smallFramesEncoded: sum(
      'framesEncoded',
      entries.filter(({ rid }) => rid === SMALLEST_RID),
    ),
    keyFramesEncoded: sum('keyFramesEncoded'),
    bytesSent: sum('bytesSent'),
  };
}

async function received(streamId: string): Promise<ReceivedVideo> {
  const video = elementOf(streamId);
  return {
    framesDecoded: video.getVideoPlaybackQuality().totalVideoFrames,
    widthPx: video.videoWidth,
    heightPx: video.videoHeight,
  };
}

const api: LivePageApi = {
  publish,
  view,
  warmUp: async (access) => {
    const warm = receiverOf(access);
    await warm.deviceOf(await warm.connection.session());
  },
  sent,
  received,
  ages,
  untilDrawnAfter,
  untilFrame,
  offerPeer,
  answerPeer,
  publishBare: (options) => publishBare({ ...options, track: stampedTrack(options) }),
  viewBare: viewBareStream,
  acceptPeer: async (sdp) => offered?.setRemoteDescription({ type: 'answer', sdp }),
  takePaths: () => paths.splice(0).map(({ kind }) => kind),
  untilViewers: (count) =>
    until(() => {
      const path = paths.at(-1);
      return path?.kind === 'live' && path.viewerCount === count;
    }),
  untilDrawn: (count) => {
    const wanted = drawn + count;
    return until(() => drawn >= wanted);
  },
  prefer: (streamId, preference) => players.get(streamId)?.player.setPreference(preference),
  leave: (streamId) => players.get(streamId)?.player.close(),
  lost: (streamId) => players.get(streamId)?.lost ?? null,
  delay: (streamId) => players.get(streamId)?.player.readDelay() ?? null,
  connectionCount: () => connections.filter(({ connectionState }) => connectionState !== 'closed').length,
};

Object.assign(window, { testPage: api });
