import {
  CodedError,
  type ConsumerOptions,
  type Id,
  type RpcServer,
  type SFU_NOTIFICATIONS,
  type SFU_REQUESTS,
  type ResultOf,
} from '@proofcast/shared';
import type { IceParameters, MediaKind } from 'mediasoup/types';
import type { Joined, LiveStreams, StreamKey } from './live-streams.ts';
import { Publisher } from './publisher.ts';
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

type JoinAnswer = ResultOf<typeof SFU_REQUESTS, 'view'>;

/**
 * An authenticated client: the streams that it publishes or views, at most one transport each. Requests about one
 * stream are carried out in the order in which they came. What the token does not allow is refused here.
 */
export class Peer {
  readonly #principal: Grant['principal'];
  readonly #streams: LiveStreams;
  readonly #maxStreams: number;
  readonly #notify: Notify;
  readonly #seats = new Map<Id, Seat>();
  readonly #tasks = new SerialTasks();
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

  publish(streamId: Id): Promise<JoinAnswer> {
    this.#requirePublisherOf(streamId);
    return this.#join(streamId, (seat) =>
      this.#streams.publish(this.#keyOf(streamId), {
        viewerCountChanged: (viewerCount) => this.#notify('viewers', { streamId, viewerCount }),
        ended: (code) => this.#ended(streamId, seat, code),
      }),
    );
  }

  produce(streamId: Id, kind: MediaKind, rtpParameters: unknown): Promise<string> {
    this.#requirePublisherOf(streamId);
    return this.#tasks.run(streamId, () => this.#publisher(streamId).produce(kind, rtpParameters));
  }

  view(streamId: Id): Promise<JoinAnswer> {
    this.#requireViewer();
    return this.#join(streamId, (seat) =>
      this.#streams.view(this.#keyOf(streamId), {
        producerAdded: (kind) => this.#notify('producerAdded', { streamId, kind }),
        consumerClosed: (consumerId) => this.#notify('consumerClosed', { streamId, consumerId }),
        ended: (code) => this.#ended(streamId, seat, code),
      }),
    );
  }

  consume(streamId: Id, rtpCapabilities: unknown): Promise<ConsumerOptions[]> {
    this.#requireViewer();
    return this.#tasks.run(streamId, () => this.#viewer(streamId).consume(rtpCapabilities));
  }

  resumeConsumer(streamId: Id, consumerId: string): Promise<void> {
    this.#requireViewer();
    return this.#tasks.run(streamId, () => this.#viewer(streamId).resume(consumerId));
  }

  connectTransport(streamId: Id, dtlsParameters: unknown): Promise<void> {
    return this.#tasks.run(streamId, () => this.#end(streamId).transport.connect(dtlsParameters));
  }

  restartIce(streamId: Id): Promise<IceParameters> {
    return this.#tasks.run(streamId, () => this.#end(streamId).transport.restartIce());
  }

  /** Leaving a stream that the connection has no part in is no error, because its end may have been told just now. */
  leave(streamId: Id): Promise<void> {
    return this.#tasks.run(streamId, async () => this.#leave(streamId));
  }

  /** Leaves all streams. What is still joining leaves as soon as it has joined. Idempotent. */
  close(): void {
    this.#isClosed = true;
    for (const streamId of this.#seats.keys()) this.#leave(streamId);
  }

  #leave(streamId: Id): void {
    const seat = this.#seats.get(streamId);
    this.#seats.delete(streamId);
    if (seat?.state.kind === 'joined') seat.state.end.leave();
  }

  #join(streamId: Id, open: (seat: Seat) => Promise<Joined<Publisher | Viewer>>): Promise<JoinAnswer> {
    return this.#tasks.run(streamId, async () => {
      const seat = this.#takeSeat(streamId);
      try {
        const { stream, end } = await open(seat);
        if (this.#seats.get(streamId) !== seat) {
          end.leave();
          const code = seat.state.kind === 'ended' ? seat.state.code : 'STREAM_OFFLINE';
          throw new CodedError(code, `Cannot join stream ${streamId}: it was over as soon as it was joined.`);
        }
        seat.state = { kind: 'joined', end };
        return {
          // mediasoup and mediasoup-client list the same URIs of header extensions in different types.
          routerRtpCapabilities: stream.rtpCapabilities as JoinAnswer['routerRtpCapabilities'],
          transport: end.transport.options,
        };
      } finally {
        if (seat.state.kind !== 'joined' && this.#seats.get(streamId) === seat) this.#seats.delete(streamId);
      }
    });
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
    if (wasJoined) this.#notify('streamClosed', { streamId, code });
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
