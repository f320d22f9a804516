import {
  CodedError,
  toCodedError,
  type ConsumerOptions,
  type Id,
  type ResultOf,
  type RpcServer,
  type SFU_NOTIFICATIONS,
  type SFU_REQUESTS,
  type TransportOptions,
  type ViewPreference,
  type ViewReading,
} from '@proofcast/shared';
import type { IceParameters, MediaKind } from 'mediasoup/types';
import type { LiveStreams, StreamKey } from './live-streams.ts';
import { parseRtpCapabilities } from './media-parameters.ts';
import type { MediaTransport } from './media-transport.ts';
import { Publisher } from './publisher.ts';
import { ReceivingTransports } from './receiving-transports.ts';
import { SerialTasks } from './serial-tasks.ts';
import type { StreamEndCode } from './stream-end.ts';
import type { Grant } from './tokens.ts';
import { Viewer } from './viewer.ts';

export type Notify = RpcServer<typeof SFU_REQUESTS, typeof SFU_NOTIFICATIONS>['notify'];

/** The place of the connection in one stream. `joining` holds it while mediasoup works. */
interface Seat {
  state:
    | { readonly kind: 'joining' }
    | { readonly kind: 'joined'; readonly end: Publisher | Viewer }
    | { readonly kind: 'ended'; readonly code: StreamEndCode };
}

type ViewAnswer = ResultOf<typeof SFU_REQUESTS, 'view'>;

/**
 * An authenticated client: the streams that it publishes or views, and the transports for that. Requests about one
 * stream, or one transport, are carried out in the order in which they came. What the token does not allow is refused
 * here.
 */
export class Peer {
  readonly #principal: Grant['principal'];
  readonly #streams: LiveStreams;
  readonly #maxStreams: number;
  readonly #notify: Notify;
  readonly #seats = new Map<Id, Seat>();
  readonly #tasks = new SerialTasks();
  readonly #receiving = new ReceivingTransports({ onLost: (transport) => this.#lost(transport) });
  /** Streams of which it will hear when somebody publishes them; each with how to end that. */
  readonly #awaited = new Map<Id, () => void>();
  #isClosed = false;

  constructor(options: {
    principal: Grant['principal'];
    streams: LiveStreams;
    maxStreams: number;
    notify: Notify;
  }) {
    this.#principal = options.principal;
    this.#streams = options.streams;
    this.#maxStreams = options.maxStreams;
    this.#notify = options.notify;
  }

  publish(streamId: Id): Promise<{ transport: TransportOptions }> {
    this.#requirePublisherOf(streamId);
    return this.#tasks.run(streamId, async () => {
      const { transport } = await this.#join(streamId, (seat) =>
        this.#streams.publish(this.#keyOf(streamId), {
          audienceChanged: (audience) => this.#notify('viewers', { streamId, ...audience }),
          ended: (code) => this.#ended(streamId, seat, code),
        }),
      );
      return { transport: transport.options };
    });
  }

  produce(streamId: Id, kind: MediaKind, rtpParameters: unknown): Promise<string> {
    this.#requirePublisherOf(streamId);
    return this.#tasks.run(streamId, () => this.#publisher(streamId).produce(kind, rtpParameters));
  }

  reportSending(streamId: Id, delayMs: number): Promise<void> {
    this.#requirePublisherOf(streamId);
    return this.#tasks.run(streamId, async () => this.#publisher(streamId).report(delayMs));
  }

  view(
    streamId: Id,
    { rtpCapabilities, preference }: { rtpCapabilities: unknown; preference?: ViewPreference | undefined },
  ): Promise<ViewAnswer> {
    this.#requireViewer();
    return this.#tasks.run(streamId, async () => {
      parseRtpCapabilities(rtpCapabilities);
      const viewer = await this.#joinAsViewer(streamId, preference);
      try {
        return { transport: viewer.transport.options, consumers: await viewer.consume(rtpCapabilities) };
      } catch (error) {
        this.#leave(streamId);
        throw error;
      }
    });
  }

  consume(streamId: Id, rtpCapabilities: unknown): Promise<ConsumerOptions[]> {
    this.#requireViewer();
    return this.#tasks.run(streamId, () => this.#viewer(streamId).consume(rtpCapabilities));
  }

  resumeConsumer(streamId: Id, consumerId: string): Promise<void> {
    this.#requireViewer();
    return this.#tasks.run(streamId, () => this.#viewer(streamId).resume(consumerId));
  }

  prefer(streamId: Id, preference: ViewPreference): Promise<void> {
    this.#requireViewer();
    return this.#tasks.run(streamId, () => this.#viewer(streamId).prefer(preference));
  }

  report(readings: readonly { streamId: Id; reading: ViewReading }[]): void {
    this.#requireViewer();
    for (const { streamId, reading } of readings) {
      const state = this.#seats.get(streamId)?.state;
      if (state?.kind === 'joined' && state.end instanceof Viewer) state.end.reading = reading;
    }
  }

  connectTransport(transportId: string, dtlsParameters: unknown): Promise<void> {
    return this.#tasks.run(transportId, () => this.#transport(transportId).connect(dtlsParameters));
  }

  restartIce(transportId: string): Promise<IceParameters> {
    return this.#tasks.run(transportId, () => this.#transport(transportId).restartIce());
  }

  /** At once, so that a stream that is viewed next does not come over it. One that is gone already is no error. */
  closeTransport(transportId: string): void {
    this.#requireViewer();
    const transport = this.#receiving.find(transportId);
    if (!transport) return;
    this.#receiving.end(transport);
    this.#leaveAllOn(transport);
  }

  /** Leaving a stream that the connection has no part in is no error, because its end may have been told just now. */
  leave(streamId: Id): Promise<void> {
    return this.#tasks.run(streamId, async () => this.#leave(streamId));
  }

  /** Leaves all streams. What is still joining leaves as soon as it has joined. Idempotent. */
  close(): void {
    this.#isClosed = true;
    for (const streamId of this.#seats.keys()) this.#leave(streamId);
    for (const streamId of this.#awaited.keys()) this.#awaitNoLonger(streamId);
    this.#receiving.close();
  }

  async #joinAsViewer(streamId: Id, preference: ViewPreference | undefined): Promise<Viewer> {
    this.#awaitNoLonger(streamId);
    try {
      return await this.#join(streamId, (seat) =>
        this.#streams.view(
          this.#keyOf(streamId),
          {
            transportOn: (worker) => this.#receiving.on(worker),
            producerAdded: (kind) => this.#notify('producerAdded', { streamId, kind }),
            consumerClosed: (consumerId) => this.#notify('consumerClosed', { streamId, consumerId }),
            sendingDelayed: (delayMs) => this.#notify('sendingDelay', { streamId, delayMs }),
            ended: (code) => this.#ended(streamId, seat, code),
          },
          preference,
        ),
      );
    } catch (error) {
      if (toCodedError(error).code === 'STREAM_OFFLINE') this.#await(streamId);
      throw error;
    }
  }

  /** A viewer hears once when the stream has a picture again. No more than a limit, the newest of all. */
  #await(streamId: Id): void {
    if (this.#isClosed) return;
    this.#awaitNoLonger(streamId);
    const [oldest] = this.#awaited.keys();
    if (oldest !== undefined && this.#awaited.size >= this.#maxStreams) this.#awaitNoLonger(oldest);
    const cancel = this.#streams.awaitPicture(this.#keyOf(streamId), () => {
      this.#awaited.delete(streamId);
      this.#notify('streamOnline', { streamId });
    });
    this.#awaited.set(streamId, cancel);
  }

  #awaitNoLonger(streamId: Id): void {
    this.#awaited.get(streamId)?.();
    this.#awaited.delete(streamId);
  }

  #leave(streamId: Id): void {
    const seat = this.#seats.get(streamId);
    this.#seats.delete(streamId);
    if (seat?.state.kind === 'joined') seat.state.end.leave();
  }

  #lost(transport: MediaTransport): void {
    this.#leaveAllOn(transport);
    this.#notify('transportClosed', { transportId: transport.id });
  }

  #leaveAllOn(transport: MediaTransport): void {
    for (const [streamId, { state }] of this.#seats) {
      if (state.kind === 'joined' && state.end.transport === transport) this.#leave(streamId);
    }
  }

  async #join<End extends Publisher | Viewer>(
    streamId: Id,
    open: (seat: Seat) => Promise<End>,
  ): Promise<End> {
    const seat = this.#takeSeat(streamId);
    try {
      const end = await open(seat);
      if (this.#seats.get(streamId) !== seat || end.transport.isClosed) {
        end.leave();
        const code = seat.state.kind === 'ended' ? seat.state.code : 'STREAM_OFFLINE';
        throw new CodedError(code, `Cannot join stream ${streamId}: it was over as soon as it was joined.`);
      }
      seat.state = { kind: 'joined', end };
      return end;
    } finally {
      if (seat.state.kind !== 'joined' && this.#seats.get(streamId) === seat) this.#seats.delete(streamId);
    }
  }

  #takeSeat(streamId: Id): Seat {
    if (this.#isClosed)
      throw new CodedError('UNAUTHENTICATED', 'Cannot join a stream: the connection is closed.');
    if (this.#seats.has(streamId)) {
      throw new CodedError('MESSAGE_UNEXPECTED', `Cannot join stream ${streamId} twice: leave it first.`);
    }
    if (this.#seats.size >= this.#maxStreams) {
      throw new CodedError(
        'LIMIT_REACHED',
        `Cannot join stream ${streamId}: the connection has ${this.#maxStreams} streams, which is the limit.`,
      );
    }
    const seat: Seat = { state: { kind: 'joining' } };
    this.#seats.set(streamId, seat);
    return seat;
  }

  /** A client that is still joining hears it as the answer to its request. */
  #ended(streamId: Id, seat: Seat, code: StreamEndCode): void {
    if (this.#seats.get(streamId) !== seat) return;
    this.#seats.delete(streamId);
    const wasJoined = seat.state.kind === 'joined';
    seat.state = { kind: 'ended', code };
    if (!wasJoined) return;
    this.#notify('streamClosed', { streamId, code });
    if (this.#principal.kind === 'user') this.#await(streamId);
  }

  #end(streamId: Id): Publisher | Viewer {
    const state = this.#seats.get(streamId)?.state;
    if (state?.kind === 'joined') return state.end;
    throw notTakingPart(streamId);
  }

  #publisher(streamId: Id): Publisher {
    const end = this.#end(streamId);
    if (end instanceof Publisher) return end;
    throw notTakingPart(streamId);
  }

  #viewer(streamId: Id): Viewer {
    const end = this.#end(streamId);
    if (end instanceof Viewer) return end;
    throw notTakingPart(streamId);
  }

  #transport(transportId: string): MediaTransport {
    const transport = this.#receiving.find(transportId) ?? this.#sendingTransport(transportId);
    if (transport) return transport;
    throw new CodedError(
      'TRANSPORT_NOT_FOUND',
      `Cannot find transport ${transportId}: this connection has none of that id.`,
    );
  }

  #sendingTransport(transportId: string): MediaTransport | undefined {
    for (const { state } of this.#seats.values()) {
      if (state.kind === 'joined' && state.end.transport.id === transportId) return state.end.transport;
    }
    return undefined;
  }

  #requirePublisherOf(streamId: Id): void {
    if (this.#principal.kind !== 'device') {
      throw new CodedError('FORBIDDEN', 'Cannot publish a stream: the token is for viewing.');
    }
    if (this.#principal.streamId === streamId) return;
    throw new CodedError(
      'STREAM_NOT_FOUND',
      `Cannot publish stream ${streamId}: the token is for another one.`,
    );
  }

  #requireViewer(): void {
    if (this.#principal.kind === 'user') return;
    throw new CodedError('FORBIDDEN', 'Cannot view a stream: the token is for publishing.');
  }

  #keyOf(streamId: Id): StreamKey {
    return { companyId: this.#principal.companyId, streamId };
  }
}

function notTakingPart(streamId: Id): CodedError {
  return new CodedError(
    'TRANSPORT_NOT_FOUND',
    `Cannot find a transport for stream ${streamId}: this connection takes no part in it.`,
  );
}
