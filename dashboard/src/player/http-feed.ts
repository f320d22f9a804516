/**
 * Streams as bodies of HTTP responses, for networks that break websockets: one body for each watch, a few for a page.
 * There is no way back to the relay within a body, so going elsewhere is another request. Section H of docs/protocol.md.
 */
import {
  CodedError,
  fromErrorBody,
  parseMessage,
  toCodedError,
  VIEW_FROM_RELAY,
  ViewerFrameStream,
  type Id,
  type Schedule,
  type ViewerFrame,
} from '@proofcast/shared';
import { HTTP_BODY_SILENCE_MS, MAX_HTTP_BODIES } from '../config.ts';
import type { RelayClient } from '../relay-client.ts';
import { HttpClock } from './http-clock.ts';
import type { PastRange, StreamFeed, Watch, Watcher } from './stream-feed.ts';

export interface HttpFeedOptions {
  readonly relay: Pick<RelayClient, 'open'>;
  readonly schedule: Schedule;
  readonly nowMs: () => number;
}

export class HttpFeed implements StreamFeed {
  readonly #options: HttpFeedOptions;
  readonly #clock = new HttpClock();
  readonly #bodies = new Set<HttpWatch>();

  constructor(options: HttpFeedOptions) {
    this.#options = options;
  }

  relayNowMs(): number | null {
    const { offsetMs } = this.#clock;
    return offsetMs === null ? null : this.#options.nowMs() + offsetMs;
  }

  /** Ends at once with `LIMIT_REACHED` when the page has as many bodies open as it may. */
  watch(streamId: Id, watcher: Watcher, range?: PastRange): Watch {
    const watch: HttpWatch = new HttpWatch({
      watcher,
      schedule: this.#options.schedule,
      open: (query, signal) => this.open('streamLive', { params: { streamId }, query, signal }),
      onClosed: () => this.#bodies.delete(watch),
    });
    if (this.#bodies.size >= MAX_HTTP_BODIES) watch.refuse();
    else {
      this.#bodies.add(watch);
      watch.begin(range ?? null);
    }
    return watch;
  }

  /** A request to the relay whose answer tells its time as well. */
  async open(...request: Parameters<RelayClient['open']>): Promise<Response> {
    const sentAtMs = this.#options.nowMs();
    const response = await this.#options.relay.open(...request);
    const receivedAtMs = this.#options.nowMs();
    this.#clock.take({ sentAtMs, receivedAtMs, date: response.headers.get('date') });
    return response;
  }

  /** Closes what is open; watchers are not told. Idempotent. */
  close(): void {
    for (const body of this.#bodies) body.close();
  }
}

interface HttpWatchOptions {
  readonly watcher: Watcher;
  readonly schedule: Schedule;
  readonly open: (query: Partial<PastRange>, signal: AbortSignal) => Promise<Response>;
  readonly onClosed: () => void;
}

type State =
  | { readonly kind: 'new' }
  | { readonly kind: 'flowing'; readonly abort: AbortController; heldAtUs: number | null }
  /** The range that was asked for has come; what follows begins at `atUs`. */
  | { readonly kind: 'held'; readonly atUs: number }
  | { readonly kind: 'closed' };

const nothing = (): void => undefined;

class HttpWatch implements Watch {
  readonly #options: HttpWatchOptions;
  #state: State = { kind: 'new' };
  /** Up to where the past was asked for meanwhile. */
  #wantedUntilUs = 0;
  #cancelSilence = nothing;

  constructor(options: HttpWatchOptions) {
    this.#options = options;
  }

  refuse(): void {
    this.#cancelSilence = this.#options.schedule(() => {
      const message = `This page takes at most ${MAX_HTTP_BODIES} pictures by HTTP at a time.`;
      this.#end(new CodedError('LIMIT_REACHED', message));
    }, 0);
  }

  begin(range: PastRange | null): void {
    this.#request(range ?? {});
  }

  seek(range: PastRange): void {
    if (this.#state.kind === 'closed') return;
    this.#stop();
    this.#request(range);
  }

  extend(untilUs: number): void {
    this.#wantedUntilUs = Math.max(this.#wantedUntilUs, untilUs);
    if (this.#state.kind === 'held') this.#goOn(this.#state.atUs);
  }

  close(): void {
    if (this.#state.kind === 'closed') return;
    this.#stop();
    this.#state = { kind: 'closed' };
    this.#options.onClosed();
  }

  #request(query: Partial<PastRange>): void {
    const abort = new AbortController();
    const state: State = { kind: 'flowing', abort, heldAtUs: null };
    this.#state = state;
    this.#wantedUntilUs = query.untilUs ?? 0;
    this.#flow(query, state).then(
      () => {
        if (this.#state !== state) return;
        if (state.heldAtUs === null) {
          return this.#end(new CodedError('UNAVAILABLE', 'The relay has ended its answer without a reason.'));
        }
        this.#goOn(state.heldAtUs);
      },
      (error: unknown) => {
        if (this.#state === state) this.#end(toCodedError(error));
      },
    );
  }

  /** Goes on behind what has come, when more is wanted already. */
  #goOn(atUs: number): void {
    this.#stop();
    const untilUs = this.#wantedUntilUs;
    if (untilUs > atUs) this.#request({ fromUs: atUs, untilUs });
    else this.#state = { kind: 'held', atUs };
  }

  async #flow(query: Partial<PastRange>, state: State & { kind: 'flowing' }): Promise<void> {
    this.#noteSign(state);
    const response = await this.#options.open(query, state.abort.signal);
    const reader = response.body?.getReader();
    if (!reader) return;
    const frames = new ViewerFrameStream();
    for (;;) {
      const { done, value } = await readFrom(reader);
      if (done || this.#state !== state) return;
      this.#noteSign(state);
      for (const frame of frames.push(value)) {
        this.#take(frame, state);
        if (this.#state !== state) return;
      }
    }
  }

  #take(frame: ViewerFrame, state: State & { kind: 'flowing' }): void {
    const { watcher } = this.#options;
    if (frame.kind !== 'control') return watcher.onFrame(frame);
    if (frame.payload.length === 0) return; // A sign of life.
    const message = parseMessage(VIEW_FROM_RELAY, new TextDecoder().decode(frame.payload));
    switch (message.type) {
      case 'epoch':
        return watcher.onEpoch(message.data);
      case 'held':
        state.heldAtUs = message.data.atUs;
        return watcher.onHeld?.(message.data.atUs);
      case 'ended': {
        const { code, message: text } = message.data.reason;
        return this.#end(fromErrorBody({ code, message: text }));
      }
      case 'streams':
      case 'streamChanged':
      case 'streamRemoved':
      case 'refused':
        return; // Told on a websocket only.
    }
  }

  /** Something has come; when nothing does any more, the body is dead. */
  #noteSign(state: State): void {
    this.#cancelSilence();
    this.#cancelSilence = this.#options.schedule(() => {
      if (this.#state !== state) return;
      this.#end(new CodedError('TIMEOUT', 'The answer of the relay has gone silent.'));
    }, HTTP_BODY_SILENCE_MS);
  }

  #end(error: CodedError): void {
    if (this.#state.kind === 'closed') return;
    this.close();
    this.#options.watcher.onEnded(error);
  }

  #stop(): void {
    this.#cancelSilence();
    this.#cancelSilence = nothing;
    if (this.#state.kind === 'flowing') this.#state.abort.abort();
  }
}

/** A body that breaks off is a connection that was lost. */
async function readFrom(
  reader: ReadableStreamDefaultReader<Uint8Array>,
): Promise<ReadableStreamReadResult<Uint8Array>> {
  try {
    return await reader.read();
  } catch (cause) {
    throw new CodedError('UNAVAILABLE', 'The answer of the relay broke off.', { cause });
  }
}
