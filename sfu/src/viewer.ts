import { CodedError, type ConsumerOptions, type ViewPreference, type ViewReading } from '@proofcast/shared';
import type { Consumer, MediaKind, Producer, RtpCapabilities } from 'mediasoup/types';
import { parseRtpCapabilities } from './media-parameters.ts';
import type { MediaTransport } from './media-transport.ts';
import type { MediaWorker } from './media-worker.ts';
import type { Outlet } from './outlet.ts';
import type { StreamEndCode } from './stream-end.ts';

/** The connection of a viewer, as the stream sees it. */
export interface ViewerClient {
  /** The one transport over which this connection receives from `worker`; opened when there is none yet. */
  transportOn(worker: MediaWorker): Promise<MediaTransport>;
  producerAdded(kind: MediaKind): void;
  consumerClosed(consumerId: string): void;
  /** What pictures take from the capture to the SFU is another time from now on; null: it is not known. */
  sendingDelayed(delayMs: number | null): void;
  /** The viewing was ended by somebody else than the viewer's own connection. */
  ended(code: StreamEndCode): void;
}

const FULL_PREFERENCE: ViewPreference = {
  isPaused: false,
  isHeard: false,
  maxSpatialLayer: null,
  priority: 1,
};

interface HeldConsumer {
  readonly consumer: Consumer;
  /** The client is ready to receive it. */
  isStarted: boolean;
}

/** A receiving end of one stream. Created and ended by its `LiveStream`; a connection asks it to `leave`. */
export class Viewer {
  readonly transport: MediaTransport;
  readonly client: ViewerClient;
  readonly outlet: Outlet;
  readonly #producers: () => readonly Producer[];
  readonly #onWantedChanged: () => void;
  readonly #onLeave: () => void;
  /** Those that the client knows of. */
  readonly #consumers = new Map<string, HeldConsumer>();
  #preference: ViewPreference;
  /** What the client has said last about its picture. */
  reading: ViewReading | null = null;
  #isClosed = false;

  constructor(options: {
    transport: MediaTransport;
    client: ViewerClient;
    outlet: Outlet;
    preference: ViewPreference | undefined;
    /** What the stream has to offer at the moment. */
    producers: () => readonly Producer[];
    /** `isWanted` is another one. */
    onWantedChanged: () => void;
    onLeave: () => void;
  }) {
    this.transport = options.transport;
    this.client = options.client;
    this.outlet = options.outlet;
    this.#preference = options.preference ?? FULL_PREFERENCE;
    this.#producers = options.producers;
    this.#onWantedChanged = options.onWantedChanged;
    this.#onLeave = options.onLeave;
  }

  /** Whether the picture is of use to the client at the moment. */
  get isSeen(): boolean {
    return !this.#preference.isPaused;
  }

  /** Whether anything of the stream is. */
  get isWanted(): boolean {
    return this.isSeen || this.#preference.isHeard;
  }

  get consumers(): readonly Consumer[] {
    return Array.from(this.#consumers.values(), ({ consumer }) => consumer);
  }

  /** Creates a paused consumer for each producer that has none yet. Calls must not overlap. */
  async consume(rtpCapabilities: unknown): Promise<ConsumerOptions[]> {
    const parsed = parseRtpCapabilities(rtpCapabilities);
    const consumed = new Set(this.consumers.map(({ producerId }) => producerId));
    const producers = this.#producers().filter(({ id }) => !consumed.has(id));
    const created: Consumer[] = [];
    try {
      for (const producer of producers) {
        const consumer = await this.#consume(producer, parsed);
        if (consumer) created.push(consumer);
      }
    } catch (error) {
      for (const consumer of created) consumer.close();
      throw error;
    }
    // A producer may have been closed while its successor was being consumed; the client never hears of the first.
    const open = created.filter(({ closed }) => !closed);
    for (const consumer of open) this.#consumers.set(consumer.id, { consumer, isStarted: false });
    return open.map(({ id, producerId, kind, rtpParameters }) => ({
      id,
      producerId,
      kind,
      // mediasoup and mediasoup-client list the same URIs of header extensions in different types.
      rtpParameters: rtpParameters as ConsumerOptions['rtpParameters'],
    }));
  }

  /** Starts a consumer, unless what it brings is not wanted. mediasoup asks the publisher for a keyframe by itself. */
  async resume(consumerId: string): Promise<void> {
    const held = this.#consumers.get(consumerId);
    if (!held) {
      throw new CodedError(
        'CONSUMER_NOT_FOUND',
        `Cannot resume consumer ${consumerId}: this connection has none of that id.`,
      );
    }
    held.isStarted = true;
    if (mayFlow(held.consumer.kind, this.#preference)) await this.transport.resume(held.consumer);
  }

  /** Calls must not overlap. */
  async prefer(preference: ViewPreference): Promise<void> {
    const { isWanted } = this;
    const before = this.#preference;
    this.#preference = preference;
    // First, because the publisher may have to begin.
    if (isWanted !== this.isWanted) this.#onWantedChanged();
    for (const held of this.#consumers.values()) await this.#apply(held, before);
  }

  /** The connection views no longer: it says so, or it is gone. */
  leave(): void {
    this.#onLeave();
  }

  /** For the stream alone. Idempotent. */
  close(): void {
    this.#isClosed = true;
    for (const consumer of this.consumers) consumer.close();
    this.#consumers.clear();
  }

  async #apply({ consumer, isStarted }: HeldConsumer, before: ViewPreference): Promise<void> {
    if (consumer.closed) return;
    const { maxSpatialLayer, priority } = this.#preference;
    const isLayered = consumer.type === 'simulcast' || consumer.type === 'svc';
    if (isLayered && (before.maxSpatialLayer !== maxSpatialLayer || before.priority !== priority)) {
      await this.transport.setLayers(consumer, this.#preference);
    }
    const flows = mayFlow(consumer.kind, this.#preference);
    if (!isStarted || consumer.closed || flows === mayFlow(consumer.kind, before)) return;
    await (flows ? this.transport.resume(consumer) : this.transport.pause(consumer));
  }

  /** Undefined when the producer was closed in the meantime. */
  async #consume(source: Producer, rtpCapabilities: RtpCapabilities): Promise<Consumer | undefined> {
    const producer = await this.outlet.take(source);
    if (!producer) return undefined;
    const { router } = this.outlet.worker;
    if (!router.canConsume({ producerId: producer.id, rtpCapabilities })) {
      throw new CodedError(
        'MEDIA_UNSUPPORTED',
        `Cannot consume the ${producer.kind}: no codec of it is among the capabilities.`,
      );
    }
    const consumer = await this.transport
      .consume({ producerId: producer.id, rtpCapabilities, paused: true })
      .catch((error: CodedError) => {
        if (producer.closed && error.code === 'MESSAGE_INVALID') return undefined;
        throw error;
      });
    if (!consumer) return undefined;
    if (this.#isClosed) {
      consumer.close();
      throw new CodedError('TRANSPORT_NOT_FOUND', 'Cannot consume: the stream was left meanwhile.');
    }
    consumer.on('producerclose', () => {
      if (this.#consumers.delete(consumer.id)) this.client.consumerClosed(consumer.id);
    });
    await this.#apply({ consumer, isStarted: false }, FULL_PREFERENCE);
    return consumer;
  }
}

const mayFlow = (kind: MediaKind, { isPaused, isHeard }: ViewPreference): boolean =>
  kind === 'audio' ? isHeard : !isPaused;
