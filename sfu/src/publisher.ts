import { CodedError } from '@proofcast/shared';
import type { MediaKind, Producer } from 'mediasoup/types';
import type { Audience } from './audience-watch.ts';
import { KEYFRAME_REQUEST_DELAY_MS } from './media-options.ts';
import { parseRtpParameters } from './media-parameters.ts';
import type { MediaTransport } from './media-transport.ts';
import type { StreamEndCode } from './stream-end.ts';

/** Every report is told to every viewer: what comes more often than this is left out. */
const MIN_REPORT_INTERVAL_MS = 1_000;

/** The connection of a publisher, as its stream sees it. */
export interface PublisherClient {
  audienceChanged(audience: Audience): void;
  /** The publisher was ended by somebody else than its own connection. */
  ended(code: StreamEndCode): void;
}

/** The sending end of one stream. Created and ended by its `LiveStream`; a connection asks it to `leave`. */
export class Publisher {
  readonly transport: MediaTransport;
  readonly client: PublisherClient;
  readonly #onProducerAdded: (kind: MediaKind) => void;
  readonly #onReport: (delayMs: number) => void;
  readonly #onLeave: () => void;
  /** A screen has one picture and at most one sound. */
  readonly #producers = new Map<MediaKind, Producer>();
  #reportedAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: {
    transport: MediaTransport;
    client: PublisherClient;
    onProducerAdded: (kind: MediaKind) => void;
    /** What its pictures take from the capture to the SFU. */
    onReport: (delayMs: number) => void;
    onLeave: () => void;
  }) {
    this.transport = options.transport;
    this.client = options.client;
    this.#onProducerAdded = options.onProducerAdded;
    this.#onReport = options.onReport;
    this.#onLeave = options.onLeave;
  }

  report(delayMs: number): void {
    const nowMs = performance.now();
    if (nowMs - this.#reportedAtMs < MIN_REPORT_INTERVAL_MS) return;
    this.#reportedAtMs = nowMs;
    this.#onReport(delayMs);
  }

  get producers(): readonly Producer[] {
    return [...this.#producers.values()];
  }

  /** Starts to send one kind of media; returns the id of the producer. Calls must not overlap. */
  async produce(kind: MediaKind, rtpParameters: unknown): Promise<string> {
    if (this.#producers.has(kind)) {
      throw new CodedError(
        'MESSAGE_UNEXPECTED',
        `Cannot produce ${kind}: the stream has its ${kind} already.`,
      );
    }
    const parsed = parseRtpParameters(rtpParameters, kind);
    const producer = await this.transport.produce({
      kind,
      rtpParameters: parsed,
      keyFrameRequestDelay: KEYFRAME_REQUEST_DELAY_MS,
    });
    this.#producers.set(kind, producer);
    this.#onProducerAdded(kind);
    return producer.id;
  }

  /** The connection publishes no longer: it says so, or it is gone. */
  leave(): void {
    this.#onLeave();
  }

  /** For the stream alone. Idempotent, as closing a transport is. */
  close(): void {
    this.transport.close();
    this.#producers.clear();
  }
}
