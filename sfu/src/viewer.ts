import { CodedError, type ConsumerOptions } from '@proofcast/shared';
import type { Consumer, MediaKind, Producer, Router, RtpCapabilities } from 'mediasoup/types';
import { parseRtpCapabilities } from './media-parameters.ts';
import type { MediaTransport } from './media-transport.ts';
import type { StreamEndCode } from './stream-end.ts';

/** The connection of a viewer, as the stream sees it. */
export interface ViewerClient {
  producerAdded(kind: MediaKind): void;
  consumerClosed(consumerId: string): void;
  /** The viewing was ended by somebody else than the viewer's own connection. */
  ended(code: StreamEndCode): void;
}

/** A receiving end of one stream. Created and ended by its `LiveStream`; a connection asks it to `leave`. */
export class Viewer {
  readonly transport: MediaTransport;
  readonly client: ViewerClient;
  readonly #router: Router;
  readonly #producers: () => readonly Producer[];
  readonly #onLeave: () => void;
  /** Those that the client knows of. */
  readonly #consumers = new Map<string, Consumer>();

  constructor(options: {
    transport: MediaTransport;
    client: ViewerClient;
    router: Router;
    /** What the stream has to offer at the moment. */
    producers: () => readonly Producer[];
    onLeave: () => void;
  }) {
    this.transport = options.transport;
    this.client = options.client;
    this.#router = options.router;
    this.#producers = options.producers;
    this.#onLeave = options.onLeave;
  }

  /** Creates a paused consumer for each producer that has none yet. Calls must not overlap. */
  async consume(rtpCapabilities: unknown): Promise<ConsumerOptions[]> {
    const parsed = parseRtpCapabilities(rtpCapabilities);
    const consumed = new Set(Array.from(this.#consumers.values(), ({ producerId }) => producerId));
    const producers = this.#producers().filter(({ id }) => !consumed.has(id));
    for (const { id, kind } of producers) {
      if (this.#router.canConsume({ producerId: id, rtpCapabilities: parsed })) continue;
      throw new CodedError(
        'MEDIA_UNSUPPORTED',
        `Cannot consume the ${kind}: no codec of it is among the capabilities.`,
      );
    }

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
    for (const consumer of open) this.#consumers.set(consumer.id, consumer);
    return open.map(({ id, producerId, kind, rtpParameters }) => ({
      id,
      producerId,
      kind,
      // mediasoup and mediasoup-client list the same URIs of header extensions in different types.
      rtpParameters: rtpParameters as ConsumerOptions['rtpParameters'],
    }));
  }

  /** Starts a consumer. mediasoup asks the publisher for a keyframe by itself. */
  async resume(consumerId: string): Promise<void> {
    const consumer = this.#consumers.get(consumerId);
    if (!consumer) {
      throw new CodedError(
        'CONSUMER_NOT_FOUND',
        `Cannot resume consumer ${consumerId}: this connection has none of that id.`,
      );
    }
    await this.transport.resume(consumer);
  }

  /** The connection views no longer: it says so, or it is gone. */
  leave(): void {
    this.#onLeave();
  }

  /** For the stream alone. Idempotent, as closing a transport is. */
  close(): void {
    this.transport.close();
    this.#consumers.clear();
  }

  /** Undefined when the producer was closed in the meantime. */
  async #consume(producer: Producer, rtpCapabilities: RtpCapabilities): Promise<Consumer | undefined> {
    const consumer = await this.transport
      .consume({ producerId: producer.id, rtpCapabilities, paused: true })
      .catch((error: CodedError) => {
        if (producer.closed && error.code === 'MESSAGE_INVALID') return undefined;
        throw error;
      });
    if (!consumer) return undefined;
    consumer.on('producerclose', () => {
      if (this.#consumers.delete(consumer.id)) this.client.consumerClosed(consumer.id);
    });
    return consumer;
  }
}
