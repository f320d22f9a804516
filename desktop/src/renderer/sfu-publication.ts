/**
 * One attempt to publish to the SFU: a websocket for signalling, a transport, a producer for the picture and one for
 * sound. It ends with the first error
 * that it cannot mend by itself; the next attempt is the publisher's.
 */
import {
  CodedError,
  isErrorCode,
  RpcClient,
  SFU_NOTIFICATIONS,
  SFU_REQUESTS,
  type IceServer,
} from '@proofcast/shared';
import { Device } from 'mediasoup-client';
import type { ConnectionState, Producer, Transport } from 'mediasoup-client/types';
import type { Static } from 'typebox';
import type { SfuAccess } from '../ipc.ts';
import type { CapturedTracks } from './capture.ts';
import { SFU } from './config.ts';
import { EncoderSwitch } from './encoder-switch.ts';
import { SendingDelay } from './sending-delay.ts';

export interface PublicationListener {
  /** Media flows to the SFU. */
  onLive(): void;
  /** Media does not flow at the moment; the publication tries to mend that. */
  onInterrupted(): void;
  onViewers(viewerCount: number): void;
  /** The publication is over. Called once, and not after `close`. */
  onFailed(error: CodedError): void;
}

/** One track on its way. */
interface Sending {
  readonly producer: Producer;
  readonly encoder: EncoderSwitch | undefined;
}

type StreamEndCode = Static<typeof SFU_NOTIFICATIONS.streamClosed>['code'];
type Rpc = RpcClient<typeof SFU_REQUESTS, typeof SFU_NOTIFICATIONS>;

export class SfuPublication {
  readonly #access: SfuAccess;
  #token: string;
  readonly #listener: PublicationListener;
  readonly #socket: WebSocket;
  readonly #rpc: Rpc;
  #transport: Transport | undefined;
  #picture: Sending | undefined;
  #sound: Sending | undefined;
  #tracks: CapturedTracks;
  /** What is done for the sound, one after the other. */
  #soundWork: Promise<void> = Promise.resolve();
  /** Somebody watches: only then is anything encoded and sent. */
  #isWanted = false;
  #liveSinceMs: number | undefined;
  #deadline: number | undefined;
  /** Of the next look at the signalling, or of the answer to the last one. */
  #signallingTimer: number | undefined;
  /** Of the next look at what the way to the SFU takes; undefined while nobody watches. */
  #delayTimer: number | undefined;
  #sendingDelay = new SendingDelay();
  #republish: (() => Promise<void>) | undefined;
  #isOver = false;

  /** Connects and publishes `tracks`, which stay the caller's. */
  constructor(access: SfuAccess, tracks: CapturedTracks, listener: PublicationListener) {
    this.#access = access;
    this.#token = access.token;
    this.#tracks = tracks;
    this.#listener = listener;
    this.#socket = new WebSocket(access.url);
    this.#rpc = new RpcClient({
      requests: SFU_REQUESTS,
      notifications: SFU_NOTIFICATIONS,
      timeoutMs: SFU.requestTimeoutMs,
      send: (text) => this.#socket.send(text),
      onNotification: {
        producerAdded: () => undefined,
        consumerClosed: () => undefined,
        sendingDelay: () => undefined,
        streamOnline: () => undefined,
        streamClosed: ({ code }) => this.#onStreamClosed(code),
        transportClosed: () => undefined,
        viewers: (audience) => this.#onAudience(audience),
      },
    });
    this.#expectConnection();
    this.#socket.addEventListener('open', () => this.#attempt(this.#open()));
    this.#socket.addEventListener('message', ({ data }) => this.#receive(data));
    // An error event tells nothing, and a close event follows it.
    this.#socket.addEventListener('close', ({ code, reason }) => this.#fail(errorOfClose(code, reason)));
  }

  /** Prolongs the connection with a newer token. */
  async renew(token: string): Promise<void> {
    this.#token = token;
    await this.#rpc.request('authenticate', { token });
  }

  /** Sends `tracks` instead; they stay the caller's. */
  replaceTracks(tracks: CapturedTracks): void {
    this.#tracks = tracks;
    if (this.#picture) this.#attempt(this.#picture.producer.replaceTrack({ track: tracks.picture }));
    if (this.#picture && this.#transport) this.#sendSoundOver(this.#transport);
  }

  /** Ends the publication without a report. Idempotent. */
  close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    window.clearTimeout(this.#deadline);
    window.clearTimeout(this.#signallingTimer);
    window.clearTimeout(this.#delayTimer);
    this.#rpc.close(new CodedError('SHUTTING_DOWN', 'The publication was closed.'));
    this.#transport?.close();
    this.#socket.close();
  }

  async #open(): Promise<void> {
    const { token } = this.#access;
    const [device, { routerRtpCapabilities, iceServers }] = await Promise.all([
      Device.factory({ handlerName: 'Chrome111' }),
      this.#rpc.request('authenticate', { token }),
    ]);
    if (this.#isOver) return;
    this.#checkSignallingLater();
    await device.load({ routerRtpCapabilities });
    await this.#publish(device, iceServers);
  }

  async #publish(device: Device, iceServers: IceServer[]): Promise<void> {
    const { streamId } = this.#access;
    const { transport: options } = await this.#rpc.request('publish', { streamId });
    if (this.#isOver) return;
    const transport = device.createSendTransport({ ...options, iceServers });
    this.#transport = transport;
    this.#republish = () => this.#publish(device, iceServers);
    transport.on('connect', ({ dtlsParameters }, callback, errback) => {
      this.#rpc
        .request('connectTransport', { transportId: options.id, dtlsParameters })
        .then(callback, errback);
    });
    transport.on('produce', ({ kind, rtpParameters }, callback, errback) => {
      const produced = this.#rpc.request('produce', { streamId, kind, rtpParameters });
      produced.then(({ producerId }) => callback({ id: producerId }), errback);
    });
    transport.on('connectionstatechange', (state) => {
      if (this.#transport === transport) this.#onConnectionState(state);
    });
    const codec = device.sendRtpCapabilities.codecs?.find(
      ({ mimeType }) => mimeType.toLowerCase() === SFU.codec,
    );
    if (!codec) throw new CodedError('MEDIA_UNSUPPORTED', `The server does not take ${SFU.codec}.`);
    const track = this.#tracks.picture;
    const producer = await transport.produce({
      track,
      codec,
      encodings: SFU.encodings.map((encoding) => ({ ...encoding, active: false })),
      codecOptions: { videoGoogleStartBitrate: SFU.startBitrateKbps },
      stopTracks: false,
      // The recorder uses the same track: it must go on whether or not anybody watches.
      disableTrackOnPause: false,
    });
    if (this.#transport !== transport) return;
    // When the network is narrow, frames become fewer rather than blurred: text must stay readable.
    this.#picture = { producer, encoder: encoderOf(producer, 'maintain-resolution') };
    this.#sendSoundOver(transport);
    await this.#picture.encoder?.set(this.#isWanted);
    const { picture } = this.#tracks;
    if (track !== picture) await producer.replaceTrack({ track: picture });
  }

  #sendSoundOver(transport: Transport): void {
    this.#soundWork = this.#soundWork.then(() => this.#sendSound(transport));
    this.#attempt(this.#soundWork);
  }

  /** A share that was silent at first gets its sound when there is some; one that falls silent sends nothing. */
  async #sendSound(transport: Transport): Promise<void> {
    const { sound } = this.#tracks;
    if (this.#transport !== transport) return;
    if (this.#sound) return this.#sound.producer.replaceTrack({ track: sound });
    if (!sound) return;
    const producer = await transport.produce({
      track: sound,
      encodings: [{ active: false }],
      codecOptions: { opusStereo: true, opusDtx: true, opusFec: true },
      stopTracks: false,
      disableTrackOnPause: false,
    });
    if (this.#transport !== transport) return;
    this.#sound = { producer, encoder: encoderOf(producer) };
    await this.#sound.encoder?.set(this.#isWanted);
  }

  #onAudience({ viewerCount, isWanted }: { viewerCount: number; isWanted: boolean }): void {
    this.#isWanted = isWanted;
    for (const sending of [this.#picture, this.#sound])
      if (sending?.encoder) this.#attempt(sending.encoder.set(isWanted));
    this.#listener.onViewers(viewerCount);
    if (isWanted && this.#delayTimer === undefined) this.#reportDelayIn(SFU.firstDelayReportMs);
  }

  #reportDelayIn(delayMs: number): void {
    this.#delayTimer = window.setTimeout(() => {
      this.#delayTimer = undefined;
      // Viewers know less then, and that is all.
      void this.#reportDelay().catch(() => undefined);
    }, delayMs);
  }

  async #reportDelay(): Promise<void> {
    const producer = this.#picture?.producer;
    if (this.#isOver || !this.#isWanted) return;
    // What a sender has not sent yet is known at the next look.
    const delayMs = producer ? this.#sendingDelay.take(await producer.getStats()) : null;
    if (this.#isOver || !this.#isWanted || this.#delayTimer !== undefined) return;
    this.#reportDelayIn(delayMs === null ? SFU.firstDelayReportMs : SFU.delayReportMs);
    if (delayMs === null) return;
    await this.#rpc.request('reportSending', { streamId: this.#access.streamId, delayMs });
  }

  /** A worker that dies takes the transport with it, and nothing else: the stream is published anew at once. */
  #onStreamClosed(code: StreamEndCode): void {
    const error = new CodedError(code, 'The server has closed the stream.');
    const wasStable =
      this.#liveSinceMs !== undefined && performance.now() - this.#liveSinceMs > SFU.stableAfterMs;
    const republish = this.#republish;
    if (code !== 'WORKER_DIED' || !wasStable || !republish) return this.#fail(error);
    this.#transport?.close();
    this.#transport = undefined;
    this.#picture = undefined;
    this.#sound = undefined;
    this.#soundWork = Promise.resolve();
    this.#sendingDelay = new SendingDelay();
    this.#isWanted = false;
    this.#liveSinceMs = undefined;
    this.#listener.onInterrupted();
    this.#listener.onViewers(0);
    this.#expectConnection();
    this.#attempt(republish());
  }

  /** Runs one step; what it throws ends the publication. */
  #attempt(step: Promise<void>): void {
    step.catch((error: unknown) => this.#fail(toPublicationError(error)));
  }

  #receive(data: unknown): void {
    try {
      this.#rpc.receive(String(data));
    } catch (error) {
      this.#fail(toPublicationError(error));
    }
  }

  #onConnectionState(state: ConnectionState): void {
    if (this.#isOver) return;
    switch (state) {
      case 'connected':
        window.clearTimeout(this.#deadline);
        this.#liveSinceMs ??= performance.now();
        return this.#listener.onLive();
      case 'disconnected':
        this.#listener.onInterrupted();
        window.clearTimeout(this.#deadline);
        this.#deadline = window.setTimeout(() => this.#restartIce(), SFU.disconnectedToleranceMs);
        return;
      case 'failed':
        this.#listener.onInterrupted();
        return this.#restartIce();
      case 'new':
      case 'connecting':
      case 'closed':
        return;
    }
  }

  /**
   * When the device changes its network the media goes on by itself, from the new address. The websocket does not, and
   * a page is not told: the SFU would take the publisher for gone.
   */
  #checkSignallingLater(): void {
    this.#signallingTimer = window.setTimeout(() => {
      this.#signallingTimer = window.setTimeout(() => {
        this.#fail(new CodedError('TIMEOUT', 'The live server does not answer any more.'));
      }, SFU.signallingAnswerMs);
      const answered = this.#rpc.request('authenticate', { token: this.#token });
      this.#attempt(
        answered.then(() => {
          window.clearTimeout(this.#signallingTimer);
          if (!this.#isOver) this.#checkSignallingLater();
        }),
      );
    }, SFU.signallingCheckMs);
  }

  /** Looks for a new way to the SFU with the same transport; when none is found in time, everything is built anew. */
  #restartIce(): void {
    const transport = this.#transport;
    if (!transport) return;
    this.#expectConnection();
    const restarted = this.#rpc.request('restartIce', { transportId: transport.id });
    this.#attempt(restarted.then(({ iceParameters }) => transport.restartIce({ iceParameters })));
  }

  #expectConnection(): void {
    window.clearTimeout(this.#deadline);
    this.#deadline = window.setTimeout(() => {
      const message = `No connection for media within ${SFU.connectTimeoutMs} ms.`;
      this.#fail(new CodedError('TIMEOUT', message));
    }, SFU.connectTimeoutMs);
  }

  #fail(error: CodedError): void {
    if (this.#isOver) return;
    this.close();
    this.#listener.onFailed(error);
  }
}

function encoderOf(
  { rtpSender }: Producer,
  degradation?: RTCDegradationPreference,
): EncoderSwitch | undefined {
  return rtpSender && new EncoderSwitch(rtpSender, degradation);
}

function toPublicationError(error: unknown): CodedError {
  if (error instanceof CodedError) return error;
  return new CodedError('INTERNAL', 'Publishing to the live server failed.', { cause: error });
}

/** The SFU closes with `CODE: message`; a network that fails closes with nothing. */
function errorOfClose(closeCode: number, reason: string): CodedError {
  const [code, ...words] = reason.split(': ');
  if (isErrorCode(code)) return new CodedError(code, words.join(': '));
  return new CodedError('UNAVAILABLE', `Cannot reach the live server (${closeCode}).`);
}
