/**
 * Scenarios of the relay path in a real browser; called from fallback-player.browser.test.ts. Recorder, MediaSource and
 * both ends of the protocol are real; only the socket between them is played by the page.
 */
import { encodeMessage, encodeViewerHead, VIEW_FROM_RELAY, type MessageToViewer } from '@proofcast/shared';
import { FallbackPlayer } from '../../src/player/fallback-player.ts';
import { RelayConnection } from '../../src/player/relay-connection.ts';
import { createVideo } from '../../src/player/video-element.ts';
import { ScriptedSocket } from '../scripted-socket.ts';
import { MIME_TYPE, recordCanvas, SOUND_MIME_TYPE, type Recording } from './recorded-canvas.ts';

const STREAM = 'str_00000000000000000001';
const CLUSTER_ID = [0x1f, 0x43, 0xb6, 0x75];
const nothing = (): void => undefined;
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** What a relay would send of one recorder to one viewer. */
class Feed {
  readonly #socket: ScriptedSocket;
  readonly #epoch: number;
  #recording: Recording | undefined;
  #bytes = new Uint8Array(0);
  #initBytes = 0;
  #sentBytes = 0;
  isPaused = false;

  constructor(socket: ScriptedSocket, epoch: number) {
    this.#socket = socket;
    this.#epoch = epoch;
  }

  async start(mimeType = MIME_TYPE): Promise<void> {
    const hasSound = mimeType === SOUND_MIME_TYPE;
    this.#recording = await recordCanvas((bytes) => this.#take(bytes), { sliceMs: 250, hasSound });
    const startedAtUs = this.#recording.startedAtMs * 1000;
    const fields = { channel: 1, epoch: this.#epoch, mimeType, startedAtUs, publisherClockOffsetUs: 0 };
    sendMessage(this.#socket, { type: 'epoch', data: fields });
  }

  stop(): void {
    this.#recording?.stop();
  }

  /** What a viewer that was too slow gets: the init segment again, then the newest cluster. */
  cutToNewestCluster(): void {
    this.#sentBytes = this.#bytes.length;
    const cluster = findCluster(this.#bytes, this.#bytes.length - 1, -1);
    this.#sendFrame('init', this.#bytes.slice(0, this.#initBytes), true);
    this.#sendFrame('media', this.#bytes.slice(cluster));
  }

  #take(bytes: Uint8Array): void {
    const joined = new Uint8Array(this.#bytes.length + bytes.length);
    joined.set(this.#bytes);
    joined.set(bytes, this.#bytes.length);
    this.#bytes = joined;
    if (this.#initBytes === 0) {
      this.#initBytes = Math.max(0, findCluster(joined, 0, 1));
      if (this.#initBytes === 0) return;
      this.#sendFrame('init', joined.slice(0, this.#initBytes));
      this.#sentBytes = this.#initBytes;
    }
    if (this.isPaused) return;
    this.#sendFrame('media', joined.slice(this.#sentBytes));
    this.#sentBytes = joined.length;
  }

  #sendFrame(kind: 'init' | 'media', payload: Uint8Array, isDiscontinuity = false): void {
    sendFrame(this.#socket, { kind, epoch: this.#epoch, payload, isDiscontinuity });
  }
}

function sendFrame(
  socket: ScriptedSocket,
  frame: { kind: 'init' | 'media'; epoch: number; payload: Uint8Array; isDiscontinuity?: boolean },
): void {
  const { payload, isDiscontinuity = false, ...rest } = frame;
  const fields = { ...rest, channel: 1, sequence: 0, captureTimeUs: 0, isDiscontinuity };
  const head = encodeViewerHead({ ...fields, payloadBytes: payload.length });
  const bytes = new Uint8Array(head.length + payload.length);
  bytes.set(head);
  bytes.set(payload, head.length);
  socket.receive(bytes.buffer);
}

function findCluster(bytes: Uint8Array, from: number, step: 1 | -1): number {
  for (let start = from; start >= 0 && start < bytes.length; start += step) {
    if (CLUSTER_ID.every((byte, index) => bytes[start + index] === byte)) return start;
  }
  return -1;
}

function sendMessage(socket: ScriptedSocket, message: MessageToViewer): void {
  socket.receive(encodeMessage(VIEW_FROM_RELAY, message));
}

interface Bench {
  readonly socket: ScriptedSocket;
  readonly connection: RelayConnection;
  readonly video: HTMLVideoElement;
  readonly player: FallbackPlayer;
  readonly log: string[];
  readonly firstFrame: Promise<void>;
  /** Lets the clock of the player run ahead of the real one. */
  skewMs: number;
  isLive: boolean;
}

async function openBench(): Promise<Bench> {
  const socket = new ScriptedSocket();
  const schedule = (callback: () => void, delayMs: number) => {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  };
  const connection = new RelayConnection({
    createTicket: () => Promise.resolve('ticket'),
    openSocket: () => socket.asWebSocket,
    schedule,
    nowMs: Date.now,
    onState: () => undefined,
    onStreams: () => undefined,
    onStreamChanged: () => undefined,
    onStreamRemoved: () => undefined,
  });
  await sleep(0);
  socket.open();
  sendMessage(socket, { type: 'streams', data: { streams: [], sentAtUs: Date.now() * 1000 } });
  const video = createVideo();
  document.body.append(video);
  const log: string[] = [];
  const first = Promise.withResolvers<void>();
  const bench: Omit<Bench, 'player'> = {
    socket,
    connection,
    video,
    log,
    firstFrame: first.promise,
    skewMs: 0,
    isLive: true,
  };
  const player = new FallbackPlayer(
    {
      feed: connection,
      streamId: STREAM,
      video,
      schedule,
      nowMs: () => Date.now() + bench.skewMs,
      isLive: () => bench.isLive,
    },
    {
      onFirstFrame: () => {
        log.push('first frame');
        first.resolve();
      },
      onLost: ({ code }) => log.push(`lost ${code}`),
    },
  );
  return Object.assign(bench, { player });
}

/** Makes an element play at a share of whatever rate it is told. */
function playSlowly(video: HTMLVideoElement, share: number): void {
  const native = Object.getOwnPropertyDescriptor(HTMLMediaElement.prototype, 'playbackRate');
  let asked = 1;
  native?.set?.call(video, share);
  Object.defineProperty(video, 'playbackRate', {
    get: () => asked,
    set: (rate: number) => {
      asked = rate;
      native?.set?.call(video, rate * share);
    },
  });
}

/** Lets time pass for the player ten times as fast, in steps that are no sleep. */
async function passQuickly(bench: Bench, ms: number): Promise<void> {
  for (let passedMs = 0; passedMs < ms; passedMs += 2_000) {
    bench.skewMs += 2_000;
    await sleep(300);
  }
}

function look({ video, player }: Bench) {
  const end = video.buffered.length > 0 ? video.buffered.end(video.buffered.length - 1) : 0;
  const delayMs = player.readDelay()?.ms ?? null;
  return {
    positionS: video.currentTime,
    aheadS: end - video.currentTime,
    ranges: video.buffered.length,
    delayMs,
  };
}

/** What a recorder has delivered once there were so many slices of 250 ms. */
async function recordSlices(count: number): Promise<{ slices: Uint8Array[]; startedAtMs: number }> {
  const slices: Uint8Array[] = [];
  const isEnough = Promise.withResolvers<void>();
  const recording = await recordCanvas(
    (bytes) => {
      if (slices.length < count) slices.push(bytes);
      if (slices.length === count) isEnough.resolve();
    },
    { sliceMs: 250 },
  );
  await isEnough.promise;
  recording.stop();
  return { slices, startedAtMs: recording.startedAtMs };
}

const scenarios = {
  /** Plays, then nothing comes for a while, then all of it at once. */
  async hiccup() {
    const bench = await openBench();
    const feed = new Feed(bench.socket, 0);
    await feed.start();
    await bench.firstFrame;
    await sleep(3_000);
    const steady = look(bench);
    feed.isPaused = true;
    await sleep(2_000);
    const starved = look(bench);
    feed.isPaused = false;
    await sleep(4_000);
    const recovered = look(bench);
    feed.stop();
    bench.player.close();
    return { steady, starved, recovered, log: bench.log };
  },

  async cut() {
    const bench = await openBench();
    const feed = new Feed(bench.socket, 0);
    await feed.start();
    await bench.firstFrame;
    feed.isPaused = true;
    await sleep(1_500);
    feed.cutToNewestCluster();
    feed.isPaused = false;
    await sleep(2_000);
    const after = look(bench);
    feed.stop();
    bench.player.close();
    return { after, log: bench.log };
  },

  async nextEpoch() {
    const bench = await openBench();
    const first = new Feed(bench.socket, 0);
    await first.start();
    await bench.firstFrame;
    await sleep(1_000);
    first.stop();
    await sleep(1_000);
    const second = new Feed(bench.socket, 1);
    await second.start();
    await sleep(3_000);
    const after = look(bench);
    second.stop();
    bench.player.close();
    return { after, log: bench.log };
  },

  /** The epoch after the first one has sound as well. */
  async soundAdded() {
    const bench = await openBench();
    const first = new Feed(bench.socket, 0);
    await first.start();
    await bench.firstFrame;
    first.stop();
    const second = new Feed(bench.socket, 1);
    await second.start(SOUND_MIME_TYPE);
    const { video } = bench as { video: HTMLVideoElement & { webkitAudioDecodedByteCount?: number } };
    while ((video.webkitAudioDecodedByteCount ?? 0) === 0) await sleep(50);
    const before = video.currentTime;
    while (video.currentTime < before + 1) await sleep(50);
    const after = look(bench);
    second.stop();
    bench.player.close();
    return { after, log: bench.log };
  },

  async unsupported() {
    const bench = await openBench();
    const feed = new Feed(bench.socket, 0);
    await feed.start('video/webm;codecs=h264');
    await sleep(1_000);
    feed.stop();
    bench.player.close();
    return { log: bench.log };
  },

  async silence() {
    const bench = await openBench();
    const feed = new Feed(bench.socket, 0);
    await feed.start();
    await bench.firstFrame;
    feed.stop();
    bench.isLive = false;
    await passQuickly(bench, 20_000);
    const whileNotLive = [...bench.log];
    bench.isLive = true;
    await passQuickly(bench, 20_000);
    bench.player.close();
    return { whileNotLive, log: bench.log };
  },

  /** The machine sleeps for an hour; what was sent meanwhile is not there, what comes now is newer. */
  async sleep() {
    const bench = await openBench();
    const feed = new Feed(bench.socket, 0);
    await feed.start();
    await bench.firstFrame;
    await sleep(1_000);
    feed.isPaused = true;
    bench.video.pause();
    await sleep(2_500);
    bench.skewMs = 3_600_000;
    await sleep(600);
    const awake = [...bench.log];
    bench.video.play().catch(() => undefined);
    feed.isPaused = false;
    await sleep(1_500);
    const after = look(bench);
    feed.stop();
    bench.player.close();
    return { awake, after, log: bench.log };
  },

  /**
   * An hour of clocks that are 250 ppm apart, compressed: in a minute the element plays 1.5 % too slowly, so that it
   * would fall 900 ms behind. Samples are taken once a second.
   */
  async drift(seconds: number) {
    const bench = await openBench();
    const feed = new Feed(bench.socket, 0);
    await feed.start();
    await bench.firstFrame;
    await sleep(5_000);
    playSlowly(bench.video, 0.985);
    const samples: { delayMs: number; bufferedS: number; rate: number }[] = [];
    for (let second = 0; second < seconds; second += 1) {
      await sleep(1_000);
      const { buffered } = bench.video;
      const bufferedS = buffered.end(buffered.length - 1) - buffered.start(0);
      samples.push({ delayMs: look(bench).delayMs ?? 0, bufferedS, rate: bench.video.playbackRate });
    }
    feed.stop();
    bench.player.close();
    return { samples, log: bench.log };
  },

  /** Media comes, and the playhead does not move. */
  async stuck() {
    const bench = await openBench();
    const feed = new Feed(bench.socket, 0);
    await feed.start();
    await bench.firstFrame;
    // As a decoder that has hung: neither a seek nor a rate brings the playhead on.
    const positionS = bench.video.currentTime;
    Object.defineProperty(bench.video, 'currentTime', { get: () => positionS, set: nothing });
    await sleep(1_000);
    await passQuickly(bench, 8_000);
    feed.stop();
    bench.player.close();
    return { log: bench.log };
  },

  /** A slice arrives while the source is open already and its event still on the way, as on a machine that is busy. */
  async overtaken() {
    const { slices, startedAtMs } = await recordSlices(8);
    const [first, ...others] = slices;
    if (!first) throw new Error('The recorder has delivered nothing.');
    const initBytes = findCluster(first, 0, 1);
    const Native = window.MediaSource;
    let deliver = nothing;
    window.MediaSource = class extends Native {
      constructor() {
        super();
        // Before any listener of the player, which hears of the event after this.
        this.addEventListener('sourceopen', () => deliver());
      }
    };
    const bench = await openBench();
    const send = (kind: 'init' | 'media', payload: Uint8Array): void =>
      sendFrame(bench.socket, { kind, epoch: 0, payload });
    deliver = () => send('media', first.slice(initBytes));
    const startedAtUs = startedAtMs * 1000;
    const epoch = { channel: 1, epoch: 0, mimeType: MIME_TYPE, startedAtUs, publisherClockOffsetUs: 0 };
    sendMessage(bench.socket, { type: 'epoch', data: epoch });
    send('init', first.slice(0, initBytes));
    await new Promise((resolve) => bench.video.addEventListener('loadedmetadata', resolve, { once: true }));
    for (const slice of others) send('media', slice);
    while (bench.log.length === 0) await sleep(50);
    await sleep(500);
    const { buffered } = bench.video;
    const startsS = Array.from({ length: buffered.length }, (_, index) => buffered.start(index));
    bench.player.close();
    window.MediaSource = Native;
    return { startsS, log: bench.log };
  },

  async close() {
    const bench = await openBench();
    const feed = new Feed(bench.socket, 0);
    await feed.start();
    await bench.firstFrame;
    bench.player.close();
    bench.player.close();
    await sleep(500);
    feed.stop();
    sendMessage(bench.socket, {
      type: 'ended',
      data: { channel: 1, reason: { code: 'INTERNAL', message: '' } },
    });
    const { video } = bench;
    return {
      log: bench.log,
      sent: bench.socket.sent.map((text) => (JSON.parse(text) as { type: string }).type),
      source: video.getAttribute('src'),
      readyState: video.readyState,
      delay: bench.player.readDelay(),
    };
  },
};

Object.assign(window, { scenarios });
export type Scenarios = typeof scenarios;
