/**
 * All that is open for watching while one user is signed in: the connections, the list of streams and the players.
 * It keeps the list fresh by the websocket, by polling where websockets are blocked, and looks after quiet sockets.
 */
import { CodedError, VIEW_PATH, type Id, type Schedule, type StreamView } from '@proofcast/shared';
import { MAX_IDLE_VIDEOS, QUIET_SOCKET_CHECK_MS, STREAM_POLL_MS } from '../config.ts';
import type { RelayClient } from '../relay-client.ts';
import { HttpFeed } from './http-feed.ts';
import { PlayerPool } from './player-pool.ts';
import { RelayConnection, type RelayConnectionState } from './relay-connection.ts';
import { SfuReceiver } from './sfu-receiver.ts';
import { StreamList } from './stream-list.ts';
import { StreamPlayer } from './stream-player.ts';
import type { PathName } from './video-path.ts';
import { VideoPool } from './video-pool.ts';

export interface LiveSessionOptions {
  readonly relay: RelayClient;
  readonly schedule: Schedule;
  readonly nowMs: () => number;
}

const nothing = (): void => undefined;

export class LiveSession {
  readonly list = new StreamList();
  readonly players: PlayerPool<StreamPlayer>;
  readonly #options: LiveSessionOptions;
  readonly #relay: RelayConnection;
  readonly #http: HttpFeed;
  readonly #sfu: SfuReceiver;
  readonly #videos = new VideoPool({ maxIdle: MAX_IDLE_VIDEOS });
  /** Paths that had their time on this page and brought no picture since then. */
  readonly #hopeless = new Set<PathName>();
  #cancelPoll = nothing;
  #cancelQuietCheck = nothing;
  #isClosed = false;

  constructor(options: LiveSessionOptions) {
    this.#options = options;
    const { schedule, nowMs, relay } = options;
    this.#sfu = new SfuReceiver({
      createToken: () => relay.call('createSfuToken'),
      openSocket: (url) => new WebSocket(url),
      schedule,
      onSessionOpened: () => {
        for (const player of this.players.all()) player.retryNow(['webrtc']);
      },
      onStreamOnline: (streamId) => this.players.get(streamId)?.hurry('webrtc'),
    });
    this.#http = new HttpFeed({ relay, schedule, nowMs });
    this.players = new PlayerPool({ create: (streamId) => this.#createPlayer(streamId), schedule });
    this.#relay = new RelayConnection({
      createTicket: async () => (await relay.call('createViewTicket')).ticket,
      openSocket: (ticket) => new WebSocket(viewUrl(ticket)),
      schedule,
      nowMs,
      onState: (state) => this.#onRelayState(state),
      onStreams: (streams) => this.#take(streams),
      onStreamChanged: (stream) => {
        this.list.change(stream);
        this.#expect(stream);
      },
      onStreamRemoved: (streamId) => {
        this.list.remove(streamId);
        this.players.get(streamId)?.setExpected(false);
      },
    });
    this.#sfu.warmUp();
    this.#scheduleQuietCheck();
  }

  /** The server can be reached again, or may be: whatever waits for a later attempt makes it now. */
  retryNow(): void {
    this.#hopeless.clear();
    this.#sfu.connection.retryNow();
    this.#relay.retryNow();
    for (const player of this.players.all()) player.retryNow();
  }

  /** Idempotent. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#cancelPoll();
    this.#cancelQuietCheck();
    this.players.close();
    this.#relay.close();
    this.#http.close();
    this.#sfu.close();
    this.#videos.close();
  }

  #createPlayer(streamId: Id): StreamPlayer {
    const { schedule, nowMs } = this.#options;
    const player = new StreamPlayer({
      streamId,
      relay: this.#relay,
      http: this.#http,
      sfu: this.#sfu,
      videos: this.#videos,
      schedule,
      nowMs,
      isLive: () => this.list.find(streamId)?.state.kind === 'live',
      isHopeless: (name) => this.#hopeless.has(name),
      onOutcome: (name, hasPicture) => {
        if (hasPicture) this.#hopeless.delete(name);
        else this.#hopeless.add(name);
      },
    });
    const stream = this.list.find(streamId);
    if (stream) player.setExpected(isPictureExpected(stream));
    return player;
  }

  #onRelayState(state: RelayConnectionState): void {
    if (this.#isClosed || state.kind === 'connecting') return;
    this.#cancelPoll();
    if (state.kind === 'down') {
      this.#hopeless.add('relay');
      return void this.#poll();
    }
    this.#hopeless.delete('relay');
    this.list.state.value = { kind: 'pushed' };
    for (const player of this.players.all()) player.retryNow(['relay']);
  }

  /** The wall without a websocket. */
  async #poll(): Promise<void> {
    try {
      const { streams } = await this.#options.relay.call('streams');
      if (this.#isClosed || this.#relay.state.kind === 'open') return;
      this.#take(streams);
      this.list.state.value = { kind: 'polled' };
    } catch {
      // The request itself has told who cares; here it only means that the list grows old.
      if (this.#isClosed || this.#relay.state.kind === 'open') return;
      // A list that never came is not an empty one.
      const { kind } = this.list.state.value;
      if (kind !== 'stale' && kind !== 'loading') {
        this.list.state.value = { kind: 'stale', sinceMs: this.#options.nowMs() };
      }
    }
    this.#cancelPoll();
    this.#cancelPoll = this.#options.schedule(() => void this.#poll(), STREAM_POLL_MS);
  }

  #take(streams: readonly StreamView[]): void {
    this.list.replace(streams);
    for (const stream of streams) this.#expect(stream);
  }

  #expect(stream: StreamView): void {
    this.players.get(stream.streamId)?.setExpected(isPictureExpected(stream));
  }

  #scheduleQuietCheck(): void {
    this.#cancelQuietCheck = this.#options.schedule(() => {
      void this.#checkQuietSocket().finally(() => {
        if (!this.#isClosed) this.#scheduleQuietCheck();
      });
    }, QUIET_SOCKET_CHECK_MS);
  }

  /** Nothing has come for a while: if the server cannot be reached, or tells another story, the socket is dead. */
  async #checkQuietSocket(): Promise<void> {
    const askedAtMs = this.#options.nowMs();
    const isQuiet = askedAtMs - this.#relay.lastMessageAtMs >= QUIET_SOCKET_CHECK_MS;
    if (this.#relay.state.kind !== 'open' || !isQuiet) return;
    try {
      const { streams } = await this.#options.relay.call('streams');
      if (this.#isClosed || this.#relay.lastMessageAtMs >= askedAtMs || this.#tellsTheSame(streams)) return;
    } catch {
      if (this.#isClosed) return; // Which failure it is does not matter: what is behind the socket is not there.
    }
    this.#relay.drop(new CodedError('UNAVAILABLE', 'The websocket of the relay has gone silent.'));
  }

  #tellsTheSame(streams: readonly StreamView[]): boolean {
    const known = this.list.streams.value;
    return (
      streams.length === known.length &&
      streams.every(({ streamId, state }) => this.list.find(streamId)?.state.kind === state.kind)
    );
  }
}

/**
 * The two paths fail apart: a publisher that the relay has lost may still be there by WebRTC. Only a stream that is
 * off for good is not tried.
 */
function isPictureExpected(stream: StreamView): boolean {
  return stream.state.kind !== 'offline';
}

function viewUrl(ticket: string): string {
  const url = new URL(VIEW_PATH, location.href);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  url.searchParams.set('ticket', ticket);
  return url.href;
}
