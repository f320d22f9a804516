/**
 * Decides which tier a stream is shown by. At the start the tiers are raced with head starts; what has a picture first is
 * shown, and better tiers are tried for as long as a worse one is shown. A tier whose picture was lost has to prove
 * itself before it replaces another picture again, the longer the more often that happened. Pure: paths are opened
 * through functions that it is given, time passes through `schedule`.
 *
 * A picture is replaced only by another one that is decoded already, and a change of state is announced before the
 * dropped path is closed, so that the last picture can be kept on the screen meanwhile.
 */
import { CodedError, createReconnectPolicy, type ReconnectPolicy, type Schedule } from '@proofcast/shared';
import type { PlayerLimits, TierLimits } from '../config.ts';
import type { PathListener, PathName } from './video-path.ts';

export interface TierFailure {
  readonly path: PathName;
  readonly error: CodedError;
}

export type PlayerState<P> =
  /** The stream is not expected to have a picture. */
  | { readonly kind: 'idle' }
  /** `isLost`: there was a picture before. */
  | { readonly kind: 'connecting'; readonly sinceMs: number; readonly isLost: boolean }
  | { readonly kind: 'playing'; readonly path: PathName; readonly picture: P; readonly sinceMs: number }
  /** Nothing has come for long enough to say so. All tiers are still being tried. */
  | { readonly kind: 'no-picture'; readonly sinceMs: number; readonly failures: readonly TierFailure[] };

export interface Closable {
  close(): void;
}

export interface TierOptions<P> {
  readonly name: PathName;
  readonly limits: TierLimits;
  readonly open: (listener: PathListener) => P;
}

export interface PlayerOptions<P extends Closable> {
  /** Best first. */
  readonly tiers: readonly TierOptions<P>[];
  readonly limits: PlayerLimits;
  readonly schedule: Schedule;
  readonly nowMs: () => number;
  readonly random?: () => number;
  readonly onChange: (state: PlayerState<P>) => void;
  /** Whether the tier works nowhere on this page at the moment: then the next ones need not wait for it. */
  readonly isHopeless?: (name: PathName) => boolean;
}

type Cancel = () => void;

type Slot<P> =
  | { readonly kind: 'closed' }
  /** Opened later, because its head start is not over yet, or as the next attempt after one that failed. */
  | { readonly kind: 'later'; readonly isRetry: boolean; readonly cancel: Cancel }
  /** Opened as soon as there are fewer open paths. */
  | { readonly kind: 'queued' }
  | { readonly kind: 'opening'; readonly path: P; readonly cancel: Cancel }
  /** It has a picture, and is or could be shown. */
  | { readonly kind: 'ready'; readonly path: P; readonly sinceMs: number; readonly cancel: Cancel };

interface Tier<P> extends TierOptions<P> {
  readonly rank: number;
  readonly policy: ReconnectPolicy;
  slot: Slot<P>;
  failure: CodedError | null;
  /** How long its next picture has to move before it may replace another one. */
  settleMs: number;
}

const CLOSED = { kind: 'closed' } as const;
const nothing = (): void => undefined;

export class Player<P extends Closable> {
  readonly #options: PlayerOptions<P>;
  readonly #tiers: readonly Tier<P>[];
  /** Those in the slot `queued`, in the order in which they asked. */
  #queue: Tier<P>[] = [];
  #state: PlayerState<P> = { kind: 'idle' };
  #isExpected = false;
  #isClosed = false;
  #cancelNoPicture: Cancel = nothing;

  constructor(options: PlayerOptions<P>) {
    this.#options = options;
    this.#tiers = options.tiers.map((tier, rank) => ({
      ...tier,
      rank,
      policy: createReconnectPolicy(tier.limits.retry, options.random),
      slot: CLOSED,
      failure: null,
      settleMs: 0,
    }));
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
    const shown = this.#shownTier();
    for (const tier of this.#tiers) if (tier !== shown) this.#drop(tier);
    if (!shown) this.#become({ kind: 'idle' });
  }

  /** Something has changed for the better (network back, socket back): what waits for a retry is tried now. */
  retryNow(paths: readonly PathName[] = this.#tiers.map(({ name }) => name)): void {
    for (const tier of this.#awaitingRetry(paths)) {
      tier.policy.reset();
      this.#open(tier);
    }
  }

  /** As `retryNow`, for what is only likely to help: when it does not, the waits go on growing. */
  hurry(path: PathName): void {
    for (const tier of this.#awaitingRetry([path])) this.#open(tier);
  }

  /** Closes all paths. Idempotent. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#isExpected = false;
    this.#cancelNoPicture();
    for (const tier of this.#tiers) this.#drop(tier);
    this.#state = { kind: 'idle' };
  }

  #awaitingRetry(paths: readonly PathName[]): Tier<P>[] {
    if (this.#isClosed || !this.#isExpected) return [];
    return this.#tiers.filter(
      ({ name, slot }) => paths.includes(name) && slot.kind === 'later' && slot.isRetry,
    );
  }

  #start(): void {
    for (const tier of this.#tiers) tier.policy.reset();
    if (this.#shownTier()) return this.#tryBetter();
    this.#becomeConnecting();
    this.#race(null);
  }

  /** Opens the tiers one after the other, as their head starts say, counted from the first that may work. */
  #race(lost: Tier<P> | null): void {
    const isPromising = (tier: Tier<P>): boolean =>
      tier !== lost && !(this.#options.isHopeless?.(tier.name) ?? false);
    const beginMs = this.#tiers.find(isPromising)?.limits.headStartMs ?? 0;
    for (const tier of this.#tiers) {
      if (tier === lost || 'path' in tier.slot) continue;
      const delayMs = tier.limits.headStartMs - beginMs;
      if (delayMs <= 0) this.#open(tier);
      else this.#openLater(tier, delayMs, false);
    }
  }

  #openLater(tier: Tier<P>, delayMs: number, isRetry: boolean): void {
    this.#drop(tier);
    const cancel = this.#options.schedule(() => this.#open(tier), delayMs);
    tier.slot = { kind: 'later', isRetry, cancel };
  }

  #open(tier: Tier<P>): void {
    if (this.#isClosed || !this.#isExpected || 'path' in tier.slot || tier.slot.kind === 'queued') return;
    this.#drop(tier);
    if (this.#openCount() >= this.#options.limits.maxOpenPaths) {
      tier.slot = { kind: 'queued' };
      this.#queue.push(tier);
      return;
    }
    const path: P = tier.open({
      onFirstFrame: () => this.#gain(tier, path),
      onLost: (error) => this.#lose(tier, path, error),
    });
    const cancel = this.#options.schedule(
      () => this.#lose(tier, path, new CodedError('TIMEOUT', 'No picture came in time.')),
      tier.limits.firstFrameMs,
    );
    tier.slot = { kind: 'opening', path, cancel };
  }

  #openCount(): number {
    return this.#tiers.filter(({ slot }) => 'path' in slot).length;
  }

  /** There may be room now for those that wait for it. */
  #admit(): void {
    while (this.#queue.length > 0 && this.#openCount() < this.#options.limits.maxOpenPaths) {
      const tier = this.#queue.shift();
      if (!tier) return;
      tier.slot = CLOSED;
      this.#open(tier);
    }
  }

  #gain(tier: Tier<P>, path: P): void {
    const { slot } = tier;
    if (slot.kind !== 'opening' || slot.path !== path) return;
    slot.cancel();
    tier.failure = null;
    const { limits, schedule, nowMs } = this.#options;
    const cancelSettle = tier.settleMs > 0 ? schedule(() => this.#chooseAndGoOn(), tier.settleMs) : nothing;
    const cancelStable = schedule(() => tier.policy.reset(), limits.stableMs);
    const cancel = (): void => {
      cancelSettle();
      cancelStable();
    };
    tier.slot = { kind: 'ready', path, sinceMs: nowMs(), cancel };
    this.#chooseAndGoOn();
  }

  #lose(tier: Tier<P>, path: P, error: CodedError): void {
    const { slot } = tier;
    if (!('path' in slot) || slot.path !== path) return;
    tier.failure = error;
    const wasShown = this.#shownTier() === tier;
    if (slot.kind === 'ready') tier.settleMs = this.#settleAfter(tier, wasShown);
    tier.slot = CLOSED;
    if (wasShown) this.#choose();
    if (this.#state.kind === 'no-picture') this.#become({ ...this.#state, failures: this.#failures() });
    slot.cancel();
    path.close();
    if (!this.#isExpected) return;
    const isPictureGone = wasShown && this.#state.kind !== 'playing';
    // A better one has taken its place.
    if (wasShown && !isPictureGone) return this.#goOn();
    // A picture that is all there was is looked for again without having to wait for what it did before.
    if (isPictureGone) tier.policy.reset();
    this.#openLater(tier, tier.policy.nextDelayMs(), true);
    if (isPictureGone) this.#race(tier);
    else this.#callUpNext();
    this.#goOn();
  }

  /** A picture that was shown for long was a good one; each that was not makes the next one prove itself for longer. */
  #settleAfter({ settleMs }: Tier<P>, wasShown: boolean): number {
    const { limits, nowMs } = this.#options;
    const shownSinceMs = wasShown && this.#state.kind === 'playing' ? this.#state.sinceMs : nowMs();
    if (nowMs() - shownSinceMs >= limits.stableMs) return limits.settleMs;
    return Math.min(limits.maxSettleMs, Math.max(limits.settleMs, settleMs * 2));
  }

  /** A tier has failed: the next one's head start is over. */
  #callUpNext(): void {
    if (this.#state.kind === 'playing') return;
    const next = this.#tiers.find(({ slot }) => slot.kind === 'later' && !slot.isRetry);
    if (next) this.#open(next);
  }

  #chooseAndGoOn(): void {
    this.#choose();
    this.#goOn();
  }

  /** Opens what there is reason and room for. */
  #goOn(): void {
    if (this.#shownTier()) this.#tryBetter();
    this.#admit();
  }

  /** Shows the best picture there is. */
  #choose(): void {
    const shown = this.#shownTier();
    const ready = this.#tiers.filter(({ slot }) => slot.kind === 'ready');
    const best = ready.find((tier) => tier === shown || this.#hasSettled(tier)) ?? ready[0];
    if (best?.slot.kind === 'ready') this.#show(best, best.slot.path);
    else if (this.#state.kind !== 'playing') return;
    else if (this.#isExpected) this.#becomeConnecting();
    else this.#become({ kind: 'idle' });
  }

  #hasSettled({ slot, settleMs }: Tier<P>): boolean {
    return slot.kind === 'ready' && this.#options.nowMs() - slot.sinceMs >= settleMs;
  }

  /** Shows this picture, and closes what is worse. */
  #show(tier: Tier<P>, picture: P): void {
    if (this.#shownTier() !== tier) {
      this.#become({ kind: 'playing', path: tier.name, picture, sinceMs: this.#options.nowMs() });
    }
    for (const worse of this.#tiers.slice(tier.rank + 1)) this.#drop(worse);
  }

  #tryBetter(): void {
    const shown = this.#shownTier();
    for (const tier of this.#tiers.slice(0, shown?.rank)) if (tier.slot.kind === 'closed') this.#open(tier);
  }

  #shownTier(): Tier<P> | undefined {
    const state = this.#state;
    if (state.kind !== 'playing') return undefined;
    return this.#tiers.find(({ slot }) => slot.kind === 'ready' && slot.path === state.picture);
  }

  #failures(): TierFailure[] {
    return this.#tiers.flatMap(({ name, failure }) => (failure ? [{ path: name, error: failure }] : []));
  }

  #becomeConnecting(): void {
    const sinceMs = this.#options.nowMs();
    this.#become({ kind: 'connecting', sinceMs, isLost: this.#state.kind === 'playing' });
    this.#cancelNoPicture = this.#options.schedule(() => {
      this.#become({ kind: 'no-picture', sinceMs, failures: this.#failures() });
    }, this.#options.limits.noPictureMs);
  }

  #become(state: PlayerState<P>): void {
    if (state.kind === 'idle' && this.#state.kind === 'idle') return;
    this.#cancelNoPicture();
    this.#cancelNoPicture = nothing;
    this.#state = state;
    this.#options.onChange(state);
  }

  /** Whatever the tier is about, it is over. */
  #drop(tier: Tier<P>): void {
    const { slot } = tier;
    tier.slot = CLOSED;
    switch (slot.kind) {
      case 'closed':
        return;
      case 'queued':
        this.#queue = this.#queue.filter((queued) => queued !== tier);
        return;
      case 'later':
        return slot.cancel();
      case 'opening':
      case 'ready':
        slot.cancel();
        slot.path.close();
    }
  }
}
