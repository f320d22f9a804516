/**
 * Decides which path a stream is shown by. Two tiers, WebRTC first; the relay starts by itself when WebRTC has no
 * picture in time or loses it, and WebRTC is tried again for as long as the relay is shown. Pure: paths are opened
 * through functions that it is given, time passes through `schedule`.
 *
 * A picture is replaced only by another one that is decoded already, and a change of state is announced before the
 * dropped path is closed, so that the last picture can be kept on the screen meanwhile.
 */
import { CodedError, createReconnectPolicy, type ReconnectPolicy, type Schedule } from '@proofcast/shared';
import type { PlayerLimits } from '../config.ts';
import type { PathListener, PathName } from './video-path.ts';

export interface Failures {
  readonly webrtc: CodedError | null;
  readonly relay: CodedError | null;
}

export type PlayerState<P> =
  /** The stream is not expected to have a picture. */
  | { readonly kind: 'idle' }
  /** `isLost`: there was a picture before. */
  | { readonly kind: 'connecting'; readonly sinceMs: number; readonly isLost: boolean }
  | { readonly kind: 'playing'; readonly path: PathName; readonly picture: P; readonly sinceMs: number }
  /** Nothing has come for long enough to say so. Both paths are still being tried. */
  | { readonly kind: 'no-picture'; readonly sinceMs: number; readonly failures: Failures };

export interface Closable {
  close(): void;
}

export interface PlayerOptions<P extends Closable> {
  readonly open: Readonly<Record<PathName, (listener: PathListener) => P>>;
  readonly limits: PlayerLimits;
  readonly schedule: Schedule;
  readonly nowMs: () => number;
  readonly random?: () => number;
  readonly onChange: (state: PlayerState<P>) => void;
  /** Whether WebRTC works nowhere on this page at the moment: then the relay need not wait for it. */
  readonly isWebRtcHopeless?: () => boolean;
}

type Cancel = () => void;

type Tier<P> =
  | { kind: 'closed' }
  | { kind: 'opening'; path: P; cancelTimers: Cancel }
  /** It has a picture, and is or could be shown. */
  | { kind: 'ready'; path: P; sinceMs: number; cancelTimers: Cancel }
  /** It failed and is tried again later. */
  | { kind: 'waiting'; cancelRetry: Cancel };

const PATHS: readonly PathName[] = ['webrtc', 'relay'];
const nothing = (): void => undefined;

export class Player<P extends Closable> {
  readonly #options: PlayerOptions<P>;
  readonly #tiers: Record<PathName, Tier<P>> = { webrtc: { kind: 'closed' }, relay: { kind: 'closed' } };
  readonly #policies: Record<PathName, ReconnectPolicy>;
  readonly #failures: Record<PathName, CodedError | null> = { webrtc: null, relay: null };
  #state: PlayerState<P> = { kind: 'idle' };
  #isExpected = false;
  #isClosed = false;
  /** The last WebRTC picture died young; the next one has to prove itself before it is shown. */
  #isWebRtcUnstable = false;
  #cancelHeadStart: Cancel = nothing;
  #cancelNoPicture: Cancel = nothing;

  constructor(options: PlayerOptions<P>) {
    this.#options = options;
    this.#policies = {
      webrtc: createReconnectPolicy(options.limits.webrtcRetry, options.random),
      relay: createReconnectPolicy(options.limits.relayRetry, options.random),
    };
  }

  get state(): PlayerState<P> {
    return this.#state;
  }

  /**
   * Whether the stream should have a picture now. Once it should not, nothing is started any more, and a picture that
   * still moves is shown until it is lost.
   */
  setExpected(isExpected: boolean): void {
    if (this.#isClosed || isExpected === this.#isExpected) return;
    this.#isExpected = isExpected;
    if (isExpected) return this.#start();
    this.#cancelHeadStart();
    for (const name of PATHS) if (this.#tiers[name].kind !== 'ready') this.#drop(name);
    if (this.#state.kind !== 'playing') this.#become({ kind: 'idle' });
  }

  /** Something has changed for the better (network back, socket back): what waits for a retry is tried now. */
  retryNow(paths: readonly PathName[] = PATHS): void {
    if (this.#isClosed || !this.#isExpected) return;
    for (const name of paths) {
      if (this.#tiers[name].kind !== 'waiting') continue;
      this.#policies[name].reset();
      this.#drop(name);
      this.#open(name);
    }
  }

  /** Closes both paths. Idempotent. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#isExpected = false;
    this.#cancelHeadStart();
    this.#cancelNoPicture();
    for (const name of PATHS) this.#drop(name);
    this.#state = { kind: 'idle' };
  }

  #start(): void {
    for (const name of PATHS) this.#policies[name].reset();
    if (this.#state.kind === 'playing') {
      if (this.#state.path === 'relay') this.#open('webrtc');
      return;
    }
    this.#becomeConnecting();
    this.#open('webrtc');
    const headStartMs = this.#options.isWebRtcHopeless?.() ? 0 : this.#options.limits.relayHeadStartMs;
    this.#cancelHeadStart = this.#options.schedule(() => this.#open('relay'), headStartMs);
  }

  #open(name: PathName): void {
    if (this.#isClosed || !this.#isExpected || this.#tiers[name].kind !== 'closed') return;
    const path: P = this.#options.open[name]({
      onFirstFrame: () => this.#gain(name, path),
      onLost: (error) => this.#lose(name, path, error),
    });
    const cancelTimers = this.#options.schedule(
      () => this.#lose(name, path, new CodedError('TIMEOUT', 'No picture came in time.')),
      this.#options.limits.firstFrameMs,
    );
    this.#tiers[name] = { kind: 'opening', path, cancelTimers };
  }

  #gain(name: PathName, path: P): void {
    const tier = this.#tiers[name];
    if (tier.kind !== 'opening' || tier.path !== path) return;
    tier.cancelTimers();
    this.#failures[name] = null;
    this.#tiers[name] = {
      kind: 'ready',
      path,
      sinceMs: this.#options.nowMs(),
      cancelTimers: name === 'webrtc' ? this.#watchWebRtc() : nothing,
    };
    if (name === 'relay') this.#policies.relay.reset();
    this.#choose();
  }

  /** A young WebRTC picture: it waits until it may be shown, and is good news only after a while. */
  #watchWebRtc(): Cancel {
    const { limits, schedule } = this.#options;
    const cancelSettle = this.#isWebRtcUnstable ? schedule(() => this.#choose(), limits.settleMs) : nothing;
    const cancelStable = schedule(() => {
      this.#isWebRtcUnstable = false;
      this.#policies.webrtc.reset();
    }, limits.stableMs);
    return () => {
      cancelSettle();
      cancelStable();
    };
  }

  #lose(name: PathName, path: P, error: CodedError): void {
    const tier = this.#tiers[name];
    if (!('path' in tier) || tier.path !== path) return;
    this.#failures[name] = error;
    if (name === 'webrtc' && tier.kind === 'ready') {
      this.#isWebRtcUnstable = this.#options.nowMs() - tier.sinceMs < this.#options.limits.stableMs;
    }
    const wasShown = this.#state.kind === 'playing' && this.#state.picture === path;
    this.#tiers[name] = { kind: 'closed' };
    if (wasShown) this.#choose();
    if (this.#state.kind === 'no-picture') this.#become({ ...this.#state, failures: { ...this.#failures } });
    this.#end(tier);
    if (!this.#isExpected) return;
    this.#retryLater(name);
    this.#callUpOther(name === 'webrtc' ? 'relay' : 'webrtc', wasShown);
  }

  /** The one path has failed: the other need not wait any longer, least of all when the picture has gone. */
  #callUpOther(other: PathName, isPictureGone: boolean): void {
    this.#cancelHeadStart();
    if (isPictureGone && this.#tiers[other].kind === 'waiting') this.#drop(other);
    this.#open(other);
  }

  #retryLater(name: PathName): void {
    const cancelRetry = this.#options.schedule(() => {
      this.#tiers[name] = { kind: 'closed' };
      this.#open(name);
    }, this.#policies[name].nextDelayMs());
    this.#tiers[name] = { kind: 'waiting', cancelRetry };
  }

  /** Shows the best picture there is, and closes what is not needed beside it. */
  #choose(): void {
    const webrtc = this.#tiers.webrtc;
    const relay = this.#tiers.relay;
    if (webrtc.kind === 'ready' && this.#mayShow(webrtc.sinceMs, relay.kind === 'ready')) {
      this.#show('webrtc', webrtc.path);
      this.#cancelHeadStart();
      this.#drop('relay');
    } else if (relay.kind === 'ready') {
      this.#show('relay', relay.path);
    } else if (this.#isExpected) {
      this.#becomeConnecting();
    } else {
      this.#become({ kind: 'idle' });
    }
  }

  #mayShow(webrtcSinceMs: number, isRelayReady: boolean): boolean {
    if (!isRelayReady || !this.#isWebRtcUnstable) return true;
    return this.#options.nowMs() - webrtcSinceMs >= this.#options.limits.settleMs;
  }

  #show(name: PathName, picture: P): void {
    if (this.#state.kind === 'playing' && this.#state.picture === picture) return;
    this.#become({ kind: 'playing', path: name, picture, sinceMs: this.#options.nowMs() });
  }

  #becomeConnecting(): void {
    const sinceMs = this.#options.nowMs();
    this.#become({ kind: 'connecting', sinceMs, isLost: this.#state.kind === 'playing' });
    this.#cancelNoPicture = this.#options.schedule(() => {
      this.#become({ kind: 'no-picture', sinceMs, failures: { ...this.#failures } });
    }, this.#options.limits.noPictureMs);
  }

  #become(state: PlayerState<P>): void {
    if (state.kind === 'idle' && this.#state.kind === 'idle') return;
    this.#cancelNoPicture();
    this.#cancelNoPicture = nothing;
    this.#state = state;
    this.#options.onChange(state);
  }

  #drop(name: PathName): void {
    const tier = this.#tiers[name];
    this.#tiers[name] = { kind: 'closed' };
    this.#end(tier);
  }

  #end(tier: Tier<P>): void {
    switch (tier.kind) {
      case 'closed':
        return;
      case 'waiting':
        return tier.cancelRetry();
      case 'opening':
      case 'ready':
        tier.cancelTimers();
        tier.path.close();
    }
  }
}
