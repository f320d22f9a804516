/**
 * The viewer's side of the relay: one websocket on which a browser hears about the streams of its company and watches
 * any of them. Owns the conversation and its channels; what is sent on a channel is the outbox's. Rules V2–V12.
 */
import type { Socket } from 'node:net';
import type { Logger } from 'pino';
import type { WebSocket } from 'ws';
import {
  CodedError,
  encodeMessage,
  FRAME_HEAD_BYTES,
  parseMessage,
  toCloseReason,
  toCodedError,
  VIEW_FROM_RELAY,
  VIEW_FROM_VIEWER,
  type Id,
  type MessageFromViewer,
  type MessageToViewer,
  type StreamView,
  type UserPrincipal,
} from '@proofcast/shared';
import { FrameSocket } from './frame-socket.ts';
import { keepAlive } from './heartbeat.ts';
import type { Watch } from './live-stream.ts';
import type { LiveStreams, StreamListener } from './live-streams.ts';
import type { MediaClock } from './media-clock.ts';
import type { MediaLimits } from './media-limits.ts';
import type { MediaCounts } from './metrics/media-counts.ts';
import type { OutboxSink } from './outbox.ts';
import { cutOffStalled } from './stalled-peer.ts';
import type { ViewerLink } from './viewer-connections.ts';

/** The largest, `watch`, is below two hundred bytes. */
const MAX_TEXT_BYTES = 1024;
/** A viewer may send as much at once as it may in so many seconds. */
const BURST_SECONDS = 4;
/**
 * Of what a viewer's socket may hold, how much may be there when another frame of the past is put behind it. Less than
 * what lets those begin again that were cut off, also with that frame.
 */
const QUEUED_SHARE = 0.25;

export interface FallbackOptions {
  readonly socket: WebSocket;
  /** What `socket` was upgraded from. */
  readonly transport: Socket;
  readonly user: UserPrincipal;
  readonly streams: LiveStreams;
  readonly clock: MediaClock;
  readonly limits: MediaLimits;
  readonly counts: MediaCounts;
  readonly log: Logger;
  readonly onClosed: () => void;
}

/** One message of the viewer, or why it is none. */
type Incoming = string | CodedError;

type State =
  /** The snapshot is on its way; what the viewer asks for meanwhile waits. */
  | { readonly kind: 'opening'; readonly inbox: Incoming[] }
  | { readonly kind: 'open'; readonly unsubscribe: () => void }
  | { readonly kind: 'closed' };

type DataOf<K extends MessageFromViewer['type']> = (MessageFromViewer & { type: K })['data'];

export class ViewerConnection implements StreamListener, ViewerLink {
  readonly carrier = 'websocket';
  readonly #options: FallbackOptions;
  readonly #socket: WebSocket;
  readonly #frames: FrameSocket;
  /** Null while the watch is being begun. */
  readonly #channels = new Map<number, Watch | null>();
  readonly #stopHeartbeat: () => void;
  readonly #stopStallCheck: () => void;
  #state: State = { kind: 'opening', inbox: [] };
  /** Messages that the viewer may send now; refilled with time. */
  #allowance: number;
  #allowanceAtMs: number;

  /** Must be called in the handler of the upgrade itself, or the first message is lost. */
  constructor(options: FallbackOptions) {
    const { socket, transport, clock, limits, log } = options;
    this.#options = options;
    this.#socket = socket;
    this.#frames = new FrameSocket(socket, transport, {
      maxQueuedBytes: limits.maxViewerBufferBytes * QUEUED_SHARE,
    });
    this.#allowance = limits.maxViewerMessagesPerSecond * BURST_SECONDS;
    this.#allowanceAtMs = clock.nowMs();
    this.#stopHeartbeat = keepAlive(socket, clock, limits);
    this.#stopStallCheck = cutOffStalled(transport, { clock, limits });
    socket.on('message', (data, isBinary) => this.#receive(data as Buffer, isBinary));
    socket.on('error', (error) => log.info({ ...this.#ids, err: error }, 'a viewer socket failed'));
    socket.on('close', () => {
      this.#leave();
      this.#stopStallCheck();
      options.onClosed();
    });
    this.#open().catch((error: unknown) => {
      log.error({ ...this.#ids, err: error }, 'cannot list the streams for a viewer');
      this.close(toCodedError(error));
    });
  }

  get userId(): Id {
    return this.#options.user.userId;
  }

  onStream(view: StreamView): void {
    this.#send({ type: 'streamChanged', data: view });
  }

  onStreamRemoved(streamId: Id): void {
    this.#send({ type: 'streamRemoved', data: { streamId } });
  }

  /** Ends the connection with a coded reason. Idempotent. */
  close(error: CodedError): void {
    if (this.#state.kind === 'closed') return;
    this.#leave();
    this.#socket.close(error.closeCode, toCloseReason(error));
  }

  async #open(): Promise<void> {
    const { streams, user, clock } = this.#options;
    const unsubscribe = await streams.subscribe(user.companyId, this, (snapshot) =>
      this.#send({ type: 'streams', data: { streams: snapshot, sentAtUs: clock.nowMs() * 1000 } }),
    );
    if (this.#state.kind !== 'opening') return unsubscribe();
    const { inbox } = this.#state;
    this.#state = { kind: 'open', unsubscribe };
    for (const incoming of inbox) this.#onIncoming(incoming);
  }

  #receive(data: Buffer, isBinary: boolean): void {
    if (this.#state.kind === 'closed') return;
    if (!this.#takeAllowance()) {
      return this.close(
        new CodedError('TOO_MANY_REQUESTS', 'The viewer sends more messages than are allowed.'),
      );
    }
    const incoming = readIncoming(data, isBinary);
    if (this.#state.kind === 'opening') this.#state.inbox.push(incoming);
    else this.#onIncoming(incoming);
  }

  #onIncoming(incoming: Incoming): void {
    let channel: number | null = null;
    try {
      if (typeof incoming !== 'string') throw incoming;
      const message = parseMessage(VIEW_FROM_VIEWER, incoming);
      channel = message.data.channel;
      switch (message.type) {
        case 'watch':
          return this.#watch(message.data);
        case 'seek':
          return this.#watched(channel)?.seek(message.data);
        case 'extend':
          return this.#watched(channel)?.extend(message.data.untilUs);
        case 'live':
          return this.#watched(channel)?.live();
        case 'unwatch':
          return this.#unwatch(channel);
      }
    } catch (error) {
      this.#refuse(error, channel);
    }
  }

  #watch({ channel: number, streamId, fromUs, untilUs }: DataOf<'watch'>): void {
    if (this.#channels.has(number)) {
      throw new CodedError('MESSAGE_UNEXPECTED', `Cannot watch on channel ${number}: it is in use.`);
    }
    const { streams, user, limits } = this.#options;
    if (this.#channels.size >= limits.maxChannelsPerViewer) {
      throw new CodedError(
        'LIMIT_REACHED',
        `Cannot watch more than ${limits.maxChannelsPerViewer} streams on one connection.`,
      );
    }
    this.#channels.set(number, null);
    try {
      const { companyId } = user;
      const rewind = fromUs === undefined ? null : { fromUs, untilUs: untilUs ?? null };
      const watch = streams.watch({ companyId, streamId, rewind }, this.#sink(number));
      if (this.#channels.has(number)) this.#channels.set(number, watch);
    } catch (error) {
      this.#channels.delete(number);
      throw error;
    }
  }

  /** Null for a channel that is not open: what the viewer asks may have crossed an `ended` on its way. */
  #watched(number: number): Watch | null {
    return this.#channels.get(number) ?? null;
  }

  #unwatch(number: number): void {
    const watch = this.#channels.get(number);
    this.#channels.delete(number);
    watch?.close();
  }

  #sink(channel: number): OutboxSink {
    const frames = this.#frames;
    const { sentBytes } = this.#options.counts;
    return {
      get bufferedBytes() {
        return frames.bufferedBytes;
      },
      get leftBytes() {
        return frames.leftBytes;
      },
      inTurn: (task) => frames.inTurn(task),
      beginEpoch: ({ number, start }, publisherClockOffsetUs) => {
        const { mimeType, startedAtUs } = start;
        this.#send({
          type: 'epoch',
          data: { channel, epoch: number, mimeType, startedAtUs, publisherClockOffsetUs },
        });
      },
      send: (frame, onSent) => {
        sentBytes.websocket += FRAME_HEAD_BYTES + frame.payload.length;
        frames.send(channel, frame, onSent);
      },
      hold: (atUs) => this.#send({ type: 'held', data: { channel, atUs } }),
      end: (error) => {
        this.#channels.delete(channel);
        this.#send({ type: 'ended', data: { channel, reason: error.toBody() } });
      },
    };
  }

  #refuse(error: unknown, channel: number | null): void {
    const { log, counts } = this.#options;
    if (!(error instanceof CodedError)) log.error({ ...this.#ids, err: error }, 'cannot serve a viewer');
    const coded = toCodedError(error);
    counts.refuse(coded.code);
    this.#send({ type: 'refused', data: { ...coded.toBody(), channel } });
  }

  #takeAllowance(): boolean {
    const { clock, limits } = this.#options;
    const nowMs = clock.nowMs();
    const perSecond = limits.maxViewerMessagesPerSecond;
    const refill = (Math.max(0, nowMs - this.#allowanceAtMs) / 1000) * perSecond;
    this.#allowance = Math.min(perSecond * BURST_SECONDS, this.#allowance + refill) - 1;
    this.#allowanceAtMs = nowMs;
    return this.#allowance >= 0;
  }

  #leave(): void {
    if (this.#state.kind === 'closed') return;
    if (this.#state.kind === 'open') this.#state.unsubscribe();
    this.#state = { kind: 'closed' };
    this.#stopHeartbeat();
    for (const watch of this.#channels.values()) watch?.close();
    this.#channels.clear();
  }

  get #ids(): { userId: Id; companyId: Id } {
    const { userId, companyId } = this.#options.user;
    return { userId, companyId };
  }

  #send(message: MessageToViewer): void {
    if (this.#socket.readyState !== this.#socket.OPEN) return;
    this.#socket.send(encodeMessage(VIEW_FROM_RELAY, message));
  }
}

function readIncoming(data: Buffer, isBinary: boolean): Incoming {
  if (isBinary) return new CodedError('MESSAGE_INVALID', 'A viewer sends text frames only.');
  if (data.length <= MAX_TEXT_BYTES) return data.toString('utf8');
  return new CodedError('MESSAGE_TOO_LARGE', `A message has at most ${MAX_TEXT_BYTES} bytes.`);
}
