/**
 * The page's one websocket to the relay: the list of streams, and the bytes of those that are watched through it.
 * It reconnects by itself and never gives up; what was watched is told that it was lost, and watches again itself.
 */
import {
  CodedError,
  createReconnectPolicy,
  decodeViewerFrame,
  encodeMessage,
  fromErrorBody,
  parseMessage,
  toCloseReason,
  toCodedError,
  VIEW_FROM_RELAY,
  VIEW_FROM_VIEWER,
  type Id,
  type MessageFromViewer,
  type MessageToViewer,
  type ReconnectPolicy,
  type Schedule,
  type StreamView,
  type ViewerFrame,
} from '@proofcast/shared';
import { VIEW_RECONNECT, VIEW_SOCKET_OPEN_MS, WATCH_ANSWER_MS } from '../config.ts';
import type { PastRange, StreamFeed, Watch, Watcher } from './stream-feed.ts';

export type RelayConnectionState =
  | { readonly kind: 'connecting' }
  | { readonly kind: 'open' }
  | { readonly kind: 'down'; readonly error: CodedError };

export interface RelayConnectionOptions {
  readonly createTicket: () => Promise<string>;
  readonly openSocket: (ticket: string) => WebSocket;
  readonly schedule: Schedule;
  readonly nowMs: () => number;
  readonly onState: (state: RelayConnectionState) => void;
  readonly onStreams: (streams: readonly StreamView[]) => void;
  readonly onStreamChanged: (stream: StreamView) => void;
  readonly onStreamRemoved: (streamId: Id) => void;
}

interface Channel {
  readonly streamId: Id;
  readonly watcher: Watcher;
  /** Where it begins; null: live. */
  range: PastRange | null;
  cancelAnswerLimit: () => void;
}

const nothing = (): void => undefined;

export class RelayConnection implements StreamFeed {
  readonly #options: RelayConnectionOptions;
  readonly #policy: ReconnectPolicy = createReconnectPolicy(VIEW_RECONNECT);
  readonly #channels = new Map<number, Channel>();
  #state: RelayConnectionState = { kind: 'connecting' };
  #socket: WebSocket | undefined;
  #cancelTimer = nothing;
  #nextChannel = 1;
  #isClosed = false;
  #lastMessageAtMs = 0;
  /** Relay's clock minus this browser's, or null before it is known. */
  #clockOffsetMs: number | null = null;

  constructor(options: RelayConnectionOptions) {
    this.#options = options;
    void this.#connect();
  }

  get state(): RelayConnectionState {
    return this.#state;
  }

  /** When something was last heard over the socket; 0 when never. */
  get lastMessageAtMs(): number {
    return this.#lastMessageAtMs;
  }

  /** The relay's clock now; null before the relay has told its time. */
  relayNowMs(): number | null {
    return this.#clockOffsetMs === null ? null : this.#options.nowMs() + this.#clockOffsetMs;
  }

  /** Watches one stream. Without a connection the watch ends at once with the reason. */
  watch(streamId: Id, watcher: Watcher, range?: PastRange): Watch {
    const channel: Channel = { streamId, watcher, range: range ?? null, cancelAnswerLimit: nothing };
    let number = this.#begin(channel);
    return {
      // On a channel of its own, because what is under way on the old one cannot be told apart otherwise. The old one
      // is closed after that, so that the device is not told meanwhile that nobody watches.
      seek: (to) => {
        if (!this.#forget(number)) return;
        const before = number;
        channel.range = to;
        number = this.#begin(channel);
        this.#unwatch(before);
      },
      extend: (untilUs) => {
        if (!this.#channels.has(number) || this.#state.kind !== 'open') return;
        this.#send({ type: 'extend', data: { channel: number, untilUs } });
      },
      close: () => {
        if (this.#forget(number)) this.#unwatch(number);
      },
    };
  }

  /** Tries at once instead of waiting for the next attempt: the network has come back. */
  retryNow(): void {
    if (this.#isClosed || this.#state.kind !== 'down') return;
    this.#cancelTimer();
    void this.#connect();
  }

  /** Gives the socket up because it is dead, whatever it says itself, and connects again. */
  drop(error: CodedError): void {
    if (!this.#isClosed && this.#socket) this.#fail(error);
  }

  /** Idempotent; watches are not told. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#cancelTimer();
    for (const channel of this.#channels.values()) channel.cancelAnswerLimit();
    this.#channels.clear();
    this.#leaveSocket(1000, '');
  }

  async #connect(): Promise<void> {
    this.#cancelTimer = nothing;
    if (this.#state.kind !== 'connecting') this.#become({ kind: 'connecting' });
    try {
      const ticket = await this.#options.createTicket();
      if (!this.#isClosed) this.#attach(this.#options.openSocket(ticket));
    } catch (error) {
      if (!this.#isClosed) this.#fail(toCodedError(error));
    }
  }

  #attach(socket: WebSocket): void {
    this.#socket = socket;
    socket.binaryType = 'arraybuffer';
    const isCurrent = (): boolean => this.#socket === socket;
    this.#cancelTimer = this.#options.schedule(() => {
      this.#fail(new CodedError('TIMEOUT', 'The websocket of the relay did not open in time.'));
    }, VIEW_SOCKET_OPEN_MS);
    socket.addEventListener('message', (event: MessageEvent<string | ArrayBuffer>) => {
      if (isCurrent()) this.#receive(event.data);
    });
    socket.addEventListener('close', (event) => {
      if (isCurrent()) this.#fail(errorOfClose(event));
    });
  }

  #receive(data: string | ArrayBuffer): void {
    this.#lastMessageAtMs = this.#options.nowMs();
    let received: MessageToViewer | ViewerFrame;
    try {
      received =
        typeof data === 'string'
          ? parseMessage(VIEW_FROM_RELAY, data)
          : decodeViewerFrame(new Uint8Array(data));
    } catch (error) {
      return this.#fail(toCodedError(error));
    }
    if ('type' in received) this.#receiveMessage(received);
    else this.#watchOf(received.channel)?.onFrame(received);
  }

  #receiveMessage(message: MessageToViewer): void {
    switch (message.type) {
      case 'streams':
        this.#clockOffsetMs = message.data.sentAtUs / 1000 - this.#options.nowMs();
        this.#options.onStreams(message.data.streams);
        return this.#opened();
      case 'streamChanged':
        return this.#options.onStreamChanged(message.data);
      case 'streamRemoved':
        return this.#options.onStreamRemoved(message.data.streamId);
      case 'epoch':
        return this.#watchOf(message.data.channel)?.onEpoch(message.data);
      case 'held':
        return this.#watchOf(message.data.channel)?.onHeld?.(message.data.atUs);
      case 'ended':
        return this.#endWatch(message.data.channel, fromErrorBody(errorBody(message.data.reason)));
      case 'refused':
        if (message.data.channel === null) return;
        return this.#endWatch(message.data.channel, fromErrorBody(errorBody(message.data)));
    }
  }

  /** The relay has answered on this channel; null when nobody watches on it any more. */
  #watchOf(channel: number): Watcher | undefined {
    const watched = this.#channels.get(channel);
    watched?.cancelAnswerLimit();
    return watched?.watcher;
  }

  #opened(): void {
    if (this.#state.kind === 'open') return;
    this.#cancelTimer();
    this.#policy.reset();
    this.#become({ kind: 'open' });
    for (const [number, channel] of this.#channels) this.#ask(number, channel);
  }

  /** Gives the channel a number, by which it is asked for now or as soon as there is a connection. */
  #begin(channel: Channel): number {
    const number = this.#nextChannel++;
    this.#channels.set(number, channel);
    if (this.#state.kind === 'open') this.#ask(number, channel);
    else if (this.#state.kind === 'down') {
      const { error } = this.#state;
      channel.cancelAnswerLimit = this.#options.schedule(() => this.#endWatch(number, error), 0);
    }
    return number;
  }

  #unwatch(number: number): void {
    if (this.#state.kind === 'open') this.#send({ type: 'unwatch', data: { channel: number } });
  }

  #ask(number: number, channel: Channel): void {
    const askedAtMs = this.#options.nowMs();
    channel.cancelAnswerLimit = this.#options.schedule(() => {
      // Other messages show that the relay is there, and has no key cluster of this stream yet.
      if (this.#lastMessageAtMs > askedAtMs) return;
      this.drop(new CodedError('TIMEOUT', 'The relay did not answer a watch in time.'));
    }, WATCH_ANSWER_MS);
    const { streamId, range } = channel;
    this.#send({ type: 'watch', data: { channel: number, streamId, ...range } });
  }

  #fail(error: CodedError): void {
    this.#leaveSocket(4400, toCloseReason(error));
    this.#cancelTimer();
    this.#cancelTimer = this.#options.schedule(() => void this.#connect(), this.#policy.nextDelayMs());
    this.#become({ kind: 'down', error });
    const numbers = Array.from(this.#channels.keys());
    for (const number of numbers) this.#endWatch(number, error);
  }

  #leaveSocket(closeCode: number, reason: string): void {
    const socket = this.#socket;
    this.#socket = undefined;
    if (socket && socket.readyState <= WebSocket.OPEN) socket.close(closeCode, reason);
  }

  #endWatch(channel: number, error: CodedError): void {
    this.#forget(channel)?.watcher.onEnded(error);
  }

  #forget(number: number): Channel | undefined {
    const channel = this.#channels.get(number);
    channel?.cancelAnswerLimit();
    this.#channels.delete(number);
    return channel;
  }

  #send(message: MessageFromViewer): void {
    this.#socket?.send(encodeMessage(VIEW_FROM_VIEWER, message));
  }

  #become(state: RelayConnectionState): void {
    this.#state = state;
    this.#options.onState(state);
  }
}

type RefusalFields = { code: string; message: string; details?: unknown };

function errorBody({ code, message }: RefusalFields): { code: string; message: string } {
  return { code, message };
}

/** The reason text of a close frame is `CODE: message`; proxies and dead networks give none. */
function errorOfClose(event: CloseEvent): CodedError {
  const match = /^([A-Z_]+): (.*)$/.exec(event.reason);
  if (match?.[1] !== undefined && match[2] !== undefined)
    return fromErrorBody({ code: match[1], message: match[2] });
  return new CodedError('UNAVAILABLE', 'The websocket of the relay was closed.');
}
