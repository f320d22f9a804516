import { CodedError, type TransportOptions, type ViewPreference } from '@proofcast/shared';
import type {
  Consumer,
  ConsumerOptions,
  IceParameters,
  Producer,
  ProducerOptions,
  WebRtcTransport,
} from 'mediasoup/types';
import { askMediasoup, toRefusal } from './media-errors.ts';
import { MIN_OUTGOING_BITRATE, TRANSPORT_OPTIONS } from './media-options.ts';
import { parseDtlsParameters } from './media-parameters.ts';
import type { MediaWorker } from './media-worker.ts';

/** mediasoup takes what is higher than what a producer has as the highest that it has. */
const HIGHEST_SPATIAL_LAYER = 2;
const HIGHEST_TEMPORAL_LAYER = 2;

/**
 * The way of media between one client and one worker. Whatever is asked of it, before or after it was closed, ends in
 * a coded error; and what mediasoup creates on it while it is being closed is closed with it.
 */
export class MediaTransport {
  readonly #webRtc: WebRtcTransport;
  #isConnected = false;

  private constructor(webRtc: WebRtcTransport) {
    this.#webRtc = webRtc;
  }

  static async open({ router, webRtcServer }: MediaWorker): Promise<MediaTransport> {
    const open = () => router.createWebRtcTransport({ ...TRANSPORT_OPTIONS, webRtcServer });
    const webRtc = await askMediasoup('open a transport', open);
    const limit = () => webRtc.setMinOutgoingBitrate(MIN_OUTGOING_BITRATE);
    await askMediasoup('limit a transport', limit);
    return new MediaTransport(webRtc);
  }

  get id(): string {
    return this.#webRtc.id;
  }

  get isClosed(): boolean {
    return this.#webRtc.closed;
  }

  /** What the client needs to connect. */
  get options(): TransportOptions {
    const { id, iceParameters, iceCandidates, dtlsParameters } = this.#webRtc;
    return { id, iceParameters, iceCandidates, dtlsParameters };
  }

  /**
   * Announces that the client has ended the connection, or that nobody can trust it. A connection that is merely
   * interrupted does not count: the client restarts ICE.
   */
  onLost(callback: () => void): void {
    this.#webRtc.on('dtlsstatechange', (state) => {
      if (state === 'failed' || state === 'closed') callback();
    });
  }

  /** Throws `MESSAGE_UNEXPECTED` the second time. Calls must not overlap. */
  async connect(dtlsParameters: unknown): Promise<void> {
    if (this.#isConnected) {
      throw new CodedError('MESSAGE_UNEXPECTED', 'Cannot connect the transport: it is connected already.');
    }
    const parsed = parseDtlsParameters(dtlsParameters);
    await this.#offer('connect the transport', () => this.#webRtc.connect({ dtlsParameters: parsed }));
    this.#isConnected = true;
  }

  restartIce(): Promise<IceParameters> {
    return this.#ask('restart ICE', () => this.#webRtc.restartIce());
  }

  produce(options: ProducerOptions): Promise<Producer> {
    return this.#create(`produce ${options.kind}`, () => this.#webRtc.produce(options));
  }

  consume(options: ConsumerOptions): Promise<Consumer> {
    return this.#create('consume', () => this.#webRtc.consume(options));
  }

  resume(consumer: Consumer): Promise<void> {
    return this.#tell(consumer, 'resume the consumer', () => consumer.resume());
  }

  pause(consumer: Consumer): Promise<void> {
    return this.#tell(consumer, 'pause the consumer', () => consumer.pause());
  }

  /** The highest layer that `consumer` may get, and which of the transport's consumers gets its layers first. */
  setLayers(
    consumer: Consumer,
    { maxSpatialLayer, priority }: Pick<ViewPreference, 'maxSpatialLayer' | 'priority'>,
  ): Promise<void> {
    return this.#tell(consumer, 'choose the layers', async () => {
      const spatialLayer = maxSpatialLayer ?? HIGHEST_SPATIAL_LAYER;
      await consumer.setPreferredLayers({ spatialLayer, temporalLayer: HIGHEST_TEMPORAL_LAYER });
      await consumer.setPriority(priority);
    });
  }

  /** Closes everything that goes over it. Idempotent. */
  close(): void {
    this.#webRtc.close();
  }

  async #create<T extends Consumer | Producer>(doing: string, operation: () => Promise<T>): Promise<T> {
    const created = await this.#offer(doing, operation);
    if (!this.#webRtc.closed) return created;
    created.close();
    throw itIsOver(doing);
  }

  /** A consumer that was closed with its producer meanwhile needs to be told nothing; its client hears of the end. */
  async #tell(consumer: Consumer, doing: string, operation: () => Promise<void>): Promise<void> {
    try {
      await this.#ask(doing, operation);
    } catch (error) {
      if (!consumer.closed || this.#webRtc.closed) throw error;
    }
  }

  /** Asks with parameters of the client: what mediasoup has against them is told to the client. */
  async #offer<T>(doing: string, operation: () => Promise<T>): Promise<T> {
    try {
      return await this.#ask(doing, operation);
    } catch (error) {
      throw error instanceof CodedError ? error : toRefusal(error, doing);
    }
  }

  async #ask<T>(doing: string, operation: () => Promise<T>): Promise<T> {
    try {
      return await askMediasoup(doing, operation);
    } catch (error) {
      throw this.#webRtc.closed && !(error instanceof CodedError) ? itIsOver(doing, error) : error;
    }
  }
}

function itIsOver(doing: string, cause?: unknown): CodedError {
  const message = `Cannot ${doing}: the stream on this connection is over.`;
  return new CodedError('TRANSPORT_NOT_FOUND', message, { cause });
}
