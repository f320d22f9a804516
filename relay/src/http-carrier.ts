/**
 * One stream as the body of one HTTP response, for networks that break websockets: the same frames, and what a websocket
 * would say in text as frames of kind `control`. There is no way back for the viewer, so the body ends where a websocket
 * would wait for `extend`. Section H of docs/protocol.md.
 */
import type { OutgoingHttpHeader, ServerResponse } from 'node:http';
import {
  encodeMessage,
  encodeViewerHead,
  VIEW_FROM_RELAY,
  type CodedError,
  type Id,
  type MessageToViewer,
  type UserPrincipal,
} from '@proofcast/shared';
import type { Watch } from './live-stream.ts';
import type { MediaClock } from './media-clock.ts';
import type { MediaCounts } from './metrics/media-counts.ts';
import type { OutboxFrame, OutboxSink } from './outbox.ts';
import type { OpenEpoch } from './recording/recording-index.ts';
import { cutOffStalled, type StalledPeerLimits } from './stalled-peer.ts';
import { leftBytes, unsentBytes } from './unsent-bytes.ts';
import type { ViewerLink } from './viewer-connections.ts';

/** The one channel of a response. */
const CHANNEL = 1;

export type ResponseHeaders = Readonly<Record<string, OutgoingHttpHeader | undefined>>;

export interface HttpCarrierOptions {
  /** Not begun yet. */
  readonly response: ServerResponse;
  /** What the service sends with every answer; the carrier adds its own. */
  readonly headers: ResponseHeaders;
  readonly user: UserPrincipal;
  readonly clock: MediaClock;
  readonly limits: StalledPeerLimits;
  readonly counts: MediaCounts;
  /** Called once, when nothing more will be sent or taken. */
  readonly onClosed: () => void;
}

/** Of a live body: `no-store` and `no-transform` by RFC 9111, and what nginx and its likes obey against buffering. */
export const LIVE_HEADERS: ResponseHeaders = {
  'content-type': 'application/octet-stream',
  'cache-control': 'no-store, no-transform',
  'x-accel-buffering': 'no',
};

type State =
  | { readonly kind: 'new' }
  | { readonly kind: 'open'; readonly watch: Watch; readonly stopBeats: () => void }
  /** Its last byte was handed over. */
  | { readonly kind: 'ending'; readonly stopBeats: () => void }
  | { readonly kind: 'closed' };

export class HttpCarrier implements OutboxSink, ViewerLink {
  readonly carrier = 'http';
  readonly #options: HttpCarrierOptions;
  readonly #response: ServerResponse;
  #state: State = { kind: 'new' };
  /** Whether anything was sent since the last beat. */
  #isBusy = false;

  constructor(options: HttpCarrierOptions) {
    this.#options = options;
    this.#response = options.response;
  }

  get userId(): Id {
    return this.#options.user.userId;
  }

  get isClosed(): boolean {
    return this.#state.kind === 'closed';
  }

  get bufferedBytes(): number {
    const { socket, writableLength } = this.#response;
    return socket === null ? writableLength : writableLength - socket.writableLength + unsentBytes(socket);
  }

  get leftBytes(): number {
    return leftBytes(this.#response.req.socket);
  }

  /** There is one reader only, and it waits until what it sent last has left. */
  inTurn(task: () => Promise<void>): Promise<void> {
    return task();
  }

  /** Answers with what `watch` delivers. Throws as that does; nothing was answered then. Called once. */
  begin(watch: (sink: OutboxSink) => Watch): void {
    const { headers, clock, limits } = this.#options;
    const response = this.#response;
    const watching = watch(this);
    const transport = response.req.socket;
    const stopBeats = cutOffStalled(transport, { clock, limits, onBeat: () => this.#onBeat() });
    this.#state = { kind: 'open', watch: watching, stopBeats };
    response.on('close', () => this.#onClosed());
    response.writeHead(200, { ...headers, ...LIVE_HEADERS });
    response.flushHeaders();
    // A client that left before there was anybody to hear it.
    if (transport.destroyed) this.#onClosed();
  }

  beginEpoch({ number, start }: OpenEpoch, publisherClockOffsetUs: number): void {
    const { mimeType, startedAtUs } = start;
    this.#sendControl({
      type: 'epoch',
      data: { channel: CHANNEL, epoch: number, mimeType, startedAtUs, publisherClockOffsetUs },
    });
  }

  send(frame: OutboxFrame, onSent?: () => void): void {
    const { payload } = frame;
    const head = encodeViewerHead({ ...frame, channel: CHANNEL, payloadBytes: payload.length });
    this.#write(head, payload, onSent);
  }

  hold(atUs: number): void {
    this.#sendControl({ type: 'held', data: { channel: CHANNEL, atUs } });
    this.#finish();
  }

  end(error: CodedError): void {
    this.#sendControl({ type: 'ended', data: { channel: CHANNEL, reason: error.toBody() } });
    this.#finish();
  }

  /** Ends the body with a coded reason. Idempotent. */
  close(error: CodedError): void {
    if (this.#state.kind === 'open') this.end(error);
  }

  #sendControl(message: MessageToViewer): void {
    const payload = Buffer.from(encodeMessage(VIEW_FROM_RELAY, message));
    this.#write(encodeControlHead(payload.length), payload);
  }

  #write(head: Uint8Array, payload: Uint8Array, onSent?: () => void): void {
    const response = this.#response;
    if (this.#state.kind !== 'open' || response.destroyed) {
      // Not before others had their turn, because who waits for it may send again at once.
      if (onSent !== undefined) setImmediate(onSent);
      return;
    }
    this.#isBusy = true;
    this.#options.counts.sentBytes.http += head.length + payload.length;
    response.cork();
    response.write(head);
    if (payload.length > 0) response.write(payload, () => onSent?.());
    response.uncork();
  }

  /** A proxy takes a body on which nothing comes for dead, and a client cannot tell either. */
  #onBeat(): void {
    if (!this.#isBusy) this.#write(encodeControlHead(0), new Uint8Array());
    this.#isBusy = false;
  }

  #finish(): void {
    if (this.#state.kind !== 'open') return;
    const { watch, stopBeats } = this.#state;
    this.#state = { kind: 'ending', stopBeats };
    watch.close();
    this.#response.end();
  }

  #onClosed(): void {
    if (this.#state.kind === 'new' || this.#state.kind === 'closed') return;
    if (this.#state.kind === 'open') this.#state.watch.close();
    this.#state.stopBeats();
    this.#state = { kind: 'closed' };
    this.#options.onClosed();
  }
}

function encodeControlHead(payloadBytes: number): Uint8Array {
  const nothing = { epoch: 0, sequence: 0, captureTimeUs: 0, isDiscontinuity: false };
  return encodeViewerHead({ kind: 'control', channel: CHANNEL, ...nothing, payloadBytes });
}
