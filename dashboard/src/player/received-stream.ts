/**
 * One stream as the page receives it: asked for at the SFU, its picture as a track, its sound as another one while that
 * is to be heard, its preference kept up to date. What
 * ends it with a worker of the SFU it mends by itself, by asking again at once; everything else it tells.
 */
import {
  CodedError,
  toCodedError,
  type ConsumerOptions,
  type ErrorCode,
  type Id,
  type ViewPreference,
  type ViewReading,
} from '@proofcast/shared';
import type { Consumer, Transport } from 'mediasoup-client/types';
import { SFU_REJOIN_AFTER_MS, WEBRTC_DISCONNECT_GRACE_MS } from '../config.ts';
import type { SfuSession, StreamListener } from './sfu-connection.ts';
import type { SfuReceiver } from './sfu-receiver.ts';

export interface ReceivedListener {
  /** The picture comes as `track` from now on; it stays the stream's. */
  readonly onTrack: (track: MediaStreamTrack) => void;
  /** The sound comes as `track`, which stays the stream's; null: no longer. */
  readonly onSound: (track: MediaStreamTrack | null) => void;
  /** No picture will come any more. At most once, never after `close`. */
  readonly onEnded: (error: CodedError) => void;
}

/** Where the stream comes from at the moment. */
interface Joined {
  readonly session: SfuSession;
  readonly transport: Transport;
}

/** The worker is gone, and the stream will be on another one in a moment. */
const MENDED_BY_REJOINING: readonly ErrorCode[] = ['WORKER_DIED', 'TRANSPORT_NOT_FOUND'];

const nothing = (): void => undefined;

export class ReceivedStream {
  readonly #receiver: SfuReceiver;
  readonly #streamId: Id;
  readonly #listener: ReceivedListener;
  readonly #streamListener: StreamListener;
  #preference: ViewPreference;
  #sentPreference: ViewPreference;
  #isSending = false;
  #joined: Joined | undefined;
  /** A producer was added that may not have been part of any answer yet. */
  #hasMore = false;
  #consumer: Consumer | undefined;
  /** There is sound; it is received from when it is first to be heard. */
  #offeredSound: ConsumerOptions | undefined;
  #sound: Consumer | undefined;
  #pictureSinceMs: number | undefined;
  #sendingDelayMs: number | null = null;
  #cancelGrace = nothing;
  #isOver = false;
  /** What whoever shows the picture sees of it; the receiver reports it to the SFU. */
  reading: ViewReading | null = null;

  constructor(options: {
    receiver: SfuReceiver;
    streamId: Id;
    listener: ReceivedListener;
    preference: ViewPreference;
  }) {
    this.#receiver = options.receiver;
    this.#streamId = options.streamId;
    this.#listener = options.listener;
    this.#preference = options.preference;
    this.#sentPreference = options.preference;
    this.#streamListener = {
      onProducerAdded: () => {
        this.#hasMore = true;
        this.#attempt(this.#consume());
      },
      onConsumerClosed: (consumerId) => this.#loseConsumer(consumerId),
      onSendingDelay: (delayMs) => {
        this.#sendingDelayMs = delayMs;
      },
      onClosed: (error) => this.#onClosed(error),
    };
    this.#attempt(this.#join());
  }

  /** What is wanted from now on. */
  prefer(preference: ViewPreference): void {
    this.#preference = preference;
    this.#attempt(this.#sendPreference());
    if (this.#joined) this.#attempt(this.#takeSound(this.#joined));
  }

  get streamId(): Id {
    return this.#streamId;
  }

  /** What pictures take from the capture to the SFU, as the publisher has measured it; null while it is not known. */
  get sendingDelayMs(): number | null {
    return this.#sendingDelayMs;
  }

  /** Of the picture alone, not of the transport that it shares with others. */
  readStats(): Promise<RTCStatsReport | null> {
    return this.#consumer ? this.#consumer.getStats() : Promise.resolve(null);
  }

  /** For the receiver: the transport that it came over is gone. */
  onTransportEnded(error: CodedError): void {
    this.#onClosed(error);
  }

  /** Idempotent. */
  close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#drop();
    this.#receiver.connection.leave(this.#streamId, this.#streamListener);
  }

  async #join(): Promise<void> {
    const { connection } = this.#receiver;
    const session = await connection.session();
    const device = await this.#receiver.deviceOf(session);
    if (this.#isOver) return;
    const preference = this.#preference;
    const viewing = connection.view({
      session,
      listener: this.#streamListener,
      streamId: this.#streamId,
      rtpCapabilities: device.recvRtpCapabilities,
      preference,
    });
    const answer = await this.#receiver.watchOver(session, viewing);
    if (this.#isOver) return;
    this.#sentPreference = preference;
    const transport = await this.#receiver.transportOf(session, { options: answer.transport, stream: this });
    if (this.#isOver) return this.#receiver.release(this);
    const joined = { session, transport };
    this.#joined = joined;
    await this.#take(joined, answer.consumers);
    await this.#consume();
    await this.#sendPreference();
  }

  /** Takes what was added; what is told before the stream is joined is looked for after that. */
  async #consume(): Promise<void> {
    const joined = this.#joined;
    if (!joined || !this.#hasMore) return;
    this.#hasMore = false;
    const device = await this.#receiver.deviceOf(joined.session);
    const { consumers } = await joined.session.client.request('consume', {
      streamId: this.#streamId,
      rtpCapabilities: device.recvRtpCapabilities,
    });
    await this.#take(joined, consumers);
  }

  async #take(joined: Joined, consumers: readonly ConsumerOptions[]): Promise<void> {
    if (this.#joined !== joined) return;
    this.#offeredSound = consumers.find(({ kind }) => kind === 'audio') ?? this.#offeredSound;
    await this.#takePicture(joined, consumers);
    await this.#takeSound(joined);
  }

  async #takePicture(joined: Joined, consumers: readonly ConsumerOptions[]): Promise<void> {
    const options = consumers.find(({ kind }) => kind === 'video');
    if (!options || this.#joined !== joined) return;
    const consumer = await joined.transport.consume(options);
    if (this.#joined !== joined) return consumer.close();
    this.#cancelGrace();
    this.#consumer?.close();
    this.#consumer = consumer;
    this.#pictureSinceMs = performance.now();
    this.#listener.onTrack(consumer.track);
    await joined.session.client.request('resumeConsumer', {
      streamId: this.#streamId,
      consumerId: consumer.id,
    });
  }

  /** The wall is mute: a consumer that nobody has resumed costs nothing. */
  async #takeSound(joined: Joined): Promise<void> {
    const options = this.#offeredSound;
    if (this.#joined !== joined || !options || !this.#preference.isHeard) return;
    this.#offeredSound = undefined;
    const consumer = await joined.transport.consume(options);
    if (this.#joined !== joined) return consumer.close();
    this.#sound?.close();
    this.#sound = consumer;
    this.#listener.onSound(consumer.track);
    const resumed = joined.session.client.request('resumeConsumer', {
      streamId: this.#streamId,
      consumerId: consumer.id,
    });
    await resumed.catch((error: unknown) => {
      // Gone in the meantime, which is told as well; the picture has nothing to do with it.
      if (toCodedError(error).code !== 'CONSUMER_NOT_FOUND') throw error;
    });
  }

  /** One request at a time, with what is wanted by then. */
  async #sendPreference(): Promise<void> {
    if (this.#isSending) return;
    this.#isSending = true;
    try {
      while (this.#joined && this.#sentPreference !== this.#preference) {
        const preference = this.#preference;
        await this.#joined.session.client.request('prefer', { streamId: this.#streamId, preference });
        this.#sentPreference = preference;
      }
    } finally {
      this.#isSending = false;
    }
  }

  /** When another publisher takes over, its picture comes in a moment, and its sound if there is any. */
  #loseConsumer(consumerId: string): void {
    if (this.#offeredSound?.id === consumerId) this.#offeredSound = undefined;
    if (this.#sound?.id === consumerId) this.#dropSound();
    if (this.#consumer?.id !== consumerId) return;
    this.#cancelGrace();
    this.#cancelGrace = this.#receiver.schedule(() => {
      this.#end(new CodedError('STREAM_OFFLINE', 'The device has stopped sending its picture by WebRTC.'));
    }, WEBRTC_DISCONNECT_GRACE_MS);
  }

  #onClosed(error: CodedError): void {
    if (this.#isOver) return;
    const sinceMs = this.#pictureSinceMs;
    const wasGood = sinceMs !== undefined && performance.now() - sinceMs > SFU_REJOIN_AFTER_MS;
    if (!wasGood || !MENDED_BY_REJOINING.includes(error.code)) return this.#end(error);
    this.#drop();
    this.#attempt(this.#join());
  }

  /** Runs one step; what it throws ends the stream, unless the stream has moved on meanwhile. */
  #attempt(step: Promise<void>): void {
    const joined = this.#joined;
    step.catch((error: unknown) => {
      if (joined === undefined || joined === this.#joined) this.#end(toCodedError(error));
    });
  }

  #end(error: CodedError): void {
    if (this.#isOver) return;
    this.close();
    this.#listener.onEnded(error);
  }

  #drop(): void {
    this.#cancelGrace();
    this.#receiver.release(this);
    this.#consumer?.close();
    this.#consumer = undefined;
    this.#offeredSound = undefined;
    this.#dropSound();
    this.#joined = undefined;
    this.#sendingDelayMs = null;
    this.#pictureSinceMs = undefined;
  }

  #dropSound(): void {
    if (!this.#sound) return;
    this.#sound.close();
    this.#sound = undefined;
    this.#listener.onSound(null);
  }
}
