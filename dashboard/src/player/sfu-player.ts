/**
 * One stream by WebRTC: a receiving mediasoup transport, its video consumer, and the watch over whether the picture
 * still moves. It owns the transport; the signalling connection is shared, the video element belongs to the stage.
 * Sound is not asked for: the wall is mute, and a consumer that nobody resumes costs nothing.
 */
import { CodedError, toCodedError, type ConsumerOptions, type Id, type Schedule } from '@proofcast/shared';
import type { Consumer, Device, Transport, TransportOptions } from 'mediasoup-client/types';
import { WEBRTC_DISCONNECT_GRACE_MS, WEBRTC_STATS_MS } from '../config.ts';
import type { SfuConnection, StreamListener } from './sfu-connection.ts';
import { onFirstFrame, releaseVideo, startPlaying } from './video-element.ts';
import type { Delay, PathListener, VideoPath } from './video-path.ts';
import { WebRtcMeter } from './webrtc-meter.ts';

export interface SfuPlayerOptions {
  readonly connection: SfuConnection;
  readonly streamId: Id;
  readonly video: HTMLVideoElement;
  readonly schedule: Schedule;
  readonly nowMs: () => number;
}

const nothing = (): void => undefined;

export class SfuPlayer implements VideoPath {
  readonly video: HTMLVideoElement;
  readonly #options: SfuPlayerOptions;
  readonly #listener: PathListener;
  readonly #streamListener: StreamListener;
  readonly #meter: WebRtcMeter;
  #device: Device | undefined;
  #transport: Transport | undefined;
  #consumer: Consumer | undefined;
  #cancelFirstFrame = nothing;
  #cancelGrace = nothing;
  #cancelStats = nothing;
  #isClosed = false;

  constructor(options: SfuPlayerOptions, listener: PathListener) {
    this.#options = options;
    this.#listener = listener;
    this.video = options.video;
    this.#meter = new WebRtcMeter(options.nowMs);
    this.#streamListener = {
      onProducerAdded: () => this.#attempt(this.#consume()),
      onConsumerClosed: (consumerId) => this.#endConsumer(consumerId),
      onClosed: (error) => this.#lose(error),
    };
    this.#attempt(this.#open());
  }

  readDelay(): Delay | null {
    return this.#meter.delay;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#cancelFirstFrame();
    this.#cancelGrace();
    this.#cancelStats();
    this.#transport?.close();
    this.#options.connection.leave(this.#options.streamId, this.#streamListener);
    releaseVideo(this.video);
  }

  async #open(): Promise<void> {
    const { connection, streamId } = this.#options;
    const [{ Device: MediasoupDevice }, answer] = await Promise.all([
      import('mediasoup-client'),
      connection.view(streamId, this.#streamListener),
    ]);
    if (this.#isClosed) return connection.leave(streamId, this.#streamListener);
    const device = new MediasoupDevice();
    await device.load({ routerRtpCapabilities: answer.routerRtpCapabilities });
    if (this.#isClosed) return;
    this.#device = device;
    this.#transport = this.#createTransport(device, answer.transport);
    await this.#consume();
  }

  #createTransport(device: Device, options: TransportOptions): Transport {
    const transport = device.createRecvTransport(options);
    transport.on('connect', ({ dtlsParameters }, onConnected, onFailed) => {
      const { connection, streamId } = this.#options;
      connection.request('connectTransport', { streamId, dtlsParameters }).then(onConnected, onFailed);
    });
    transport.on('connectionstatechange', (state) => {
      this.#cancelGrace();
      if (state === 'failed') this.#lose(new CodedError('UNAVAILABLE', 'No media comes through by WebRTC.'));
      if (state !== 'disconnected') return;
      this.#cancelGrace = this.#options.schedule(() => {
        this.#lose(new CodedError('UNAVAILABLE', 'The WebRTC connection was lost.'));
      }, WEBRTC_DISCONNECT_GRACE_MS);
    });
    return transport;
  }

  async #consume(): Promise<void> {
    const { connection, streamId } = this.#options;
    const device = this.#device;
    if (!device || this.#isClosed) return; // A producer that is added meanwhile is part of the first answer.
    const { consumers } = await connection.request('consume', {
      streamId,
      rtpCapabilities: device.recvRtpCapabilities,
    });
    const video = consumers.find((consumer) => consumer.kind === 'video');
    if (video && !this.#isClosed) await this.#show(video);
  }

  async #show(options: ConsumerOptions): Promise<void> {
    const { connection, streamId } = this.#options;
    const consumer = await this.#transport?.consume(options);
    if (!consumer || this.#isClosed) return;
    this.#consumer?.close();
    this.#consumer = consumer;
    this.#cancelFirstFrame();
    this.#cancelFirstFrame = onFirstFrame(this.video, this.#listener.onFirstFrame);
    this.video.srcObject = new MediaStream([consumer.track]);
    startPlaying(this.video, (cause) => {
      this.#lose(new CodedError('MEDIA_UNSUPPORTED', 'The browser refuses to play the picture.', { cause }));
    });
    await connection.request('resumeConsumer', { streamId, consumerId: consumer.id });
    if (!this.#isClosed) this.#scheduleStats();
  }

  #scheduleStats(): void {
    this.#cancelStats();
    this.#cancelStats = this.#options.schedule(() => this.#attempt(this.#readStats()), WEBRTC_STATS_MS);
  }

  async #readStats(): Promise<void> {
    if (!this.#transport || this.#isClosed) return;
    this.#meter.take(await this.#transport.getStats());
    if (this.#isClosed) return;
    if (this.#meter.isFrozen) this.#lose(new CodedError('TIMEOUT', 'The WebRTC picture stands still.'));
    else this.#scheduleStats();
  }

  #endConsumer(consumerId: string): void {
    if (this.#consumer?.id !== consumerId) return;
    this.#lose(new CodedError('STREAM_OFFLINE', 'The device has stopped sending its picture by WebRTC.'));
  }

  /** Runs one step; what it throws ends this path. */
  #attempt(step: Promise<void>): void {
    step.catch((error: unknown) => this.#lose(toCodedError(error)));
  }

  #lose(error: CodedError): void {
    if (!this.#isClosed) this.#listener.onLost(error);
  }
}
