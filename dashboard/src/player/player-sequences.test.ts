/**
 * The player through random histories of four tiers that come, go, hang and flap. The seed of a failing run is in the
 * title of its test: keep it as a named one.
 */
import { CodedError } from '@proofcast/shared';
import { describe, expect, it } from 'vitest';
import { HeldClock } from '../../testing/held-clock.ts';
import { PLAYER_LIMITS, TIER_LIMITS } from '../config.ts';
import { Player, type PlayerState } from './player.ts';
import { PATH_NAMES, type PathListener, type PathName } from './video-path.ts';

/** What a network lets a tier do at the moment. */
type Condition =
  | { readonly kind: 'good'; readonly firstFrameMs: number }
  /** Nothing ever comes of it. */
  | { readonly kind: 'hangs' }
  | { readonly kind: 'refuses'; readonly afterMs: number }
  /** Pictures come and die. */
  | { readonly kind: 'flaps'; readonly firstFrameMs: number; readonly lifeMs: number };

interface WorldPath {
  readonly name: PathName;
  readonly listener: PathListener;
  hasPicture: boolean;
  isLost: boolean;
  close(): void;
}

interface Change {
  readonly atMs: number;
  /** The picture before was lost, so that whatever there is has to be shown. */
  readonly isForced: boolean;
  readonly state: PlayerState<WorldPath>;
}

const RUN_MS = 10 * 60_000;
/** Every retry and every settling there may be, twice over. */
const QUIET_MS = 10 * 60_000;
const MAX_PAUSE_MS = 15_000;
const SEEDS = Array.from({ length: 60 }, (_, index) => index + 1);

/** Small and good enough: mulberry32. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

class World {
  readonly clock = new HeldClock();
  readonly changes: Change[] = [];
  readonly random: () => number;
  readonly player: Player<WorldPath>;
  readonly #conditions = new Map<PathName, Condition>();
  readonly #open = new Set<WorldPath>();
  maxOpen = 0;

  constructor(seed: number) {
    this.random = randomOf(seed);
    for (const name of PATH_NAMES) this.#conditions.set(name, this.#anyCondition());
    this.player = new Player<WorldPath>({
      tiers: PATH_NAMES.map((name) => ({
        name,
        limits: TIER_LIMITS[name],
        open: (listener) => this.#openPath(name, listener),
      })),
      limits: PLAYER_LIMITS,
      schedule: this.clock.schedule,
      nowMs: this.clock.nowMs,
      random: this.random,
      isHopeless: (name) => name === 'webrtc' && this.#conditions.get('webrtc')?.kind === 'hangs',
      onChange: (state) => {
        if (state.kind === 'playing')
          expect(state.picture.hasPicture, 'shown before it is decoded').toBe(true);
        const before = this.changes.at(-1)?.state;
        const isForced = before?.kind === 'playing' && before.picture.isLost;
        this.changes.push({ atMs: this.clock.nowMs(), isForced, state });
      },
    });
  }

  get openCount(): number {
    return this.#open.size;
  }

  /** Ten minutes of trouble. */
  run(): void {
    this.player.setExpected(true);
    const endMs = this.clock.nowMs() + RUN_MS;
    while (this.clock.nowMs() < endMs) {
      this.clock.advance(this.random() * MAX_PAUSE_MS);
      this.#disturb();
    }
  }

  /** From now on these work, and no other. */
  settle(working: ReadonlySet<PathName>): void {
    for (const name of PATH_NAMES) {
      const condition: Condition = working.has(name)
        ? { kind: 'good', firstFrameMs: 300 }
        : { kind: 'refuses', afterMs: 500 };
      this.#change(name, condition);
    }
    this.clock.advance(QUIET_MS);
  }

  #disturb(): void {
    const roll = this.random();
    if (roll < 0.1) {
      this.player.setExpected(false);
      this.clock.advance(this.random() * 3_000);
      this.player.setExpected(true);
    } else if (roll < 0.2) this.player.retryNow();
    else {
      const name = PATH_NAMES[Math.floor(this.random() * PATH_NAMES.length)] ?? 'webrtc';
      this.#change(name, this.#anyCondition());
    }
  }

  #anyCondition(): Condition {
    const roll = this.random();
    const firstFrameMs = 50 + this.random() * 4_000;
    if (roll < 0.35) return { kind: 'good', firstFrameMs };
    if (roll < 0.55) return { kind: 'hangs' };
    if (roll < 0.75) return { kind: 'refuses', afterMs: this.random() * 5_000 };
    return { kind: 'flaps', firstFrameMs, lifeMs: 50 + this.random() * 14_000 };
  }

  /** Paths that are open feel it as well. */
  #change(name: PathName, condition: Condition): void {
    this.#conditions.set(name, condition);
    if (condition.kind === 'good') return;
    for (const path of this.#open) {
      if (path.name === name) lose(path);
    }
  }

  #openPath(name: PathName, listener: PathListener): WorldPath {
    const cancels: (() => void)[] = [];
    const later = (delayMs: number, step: () => void): void => {
      cancels.push(this.clock.schedule(step, delayMs));
    };
    const path: WorldPath = {
      name,
      listener,
      hasPicture: false,
      isLost: false,
      close: () => {
        for (const cancel of cancels) cancel();
        this.#open.delete(path);
      },
    };
    this.#open.add(path);
    this.maxOpen = Math.max(this.maxOpen, this.#open.size);
    const condition = this.#conditions.get(name) ?? { kind: 'hangs' };
    if (condition.kind === 'refuses') later(condition.afterMs, () => lose(path));
    if (condition.kind === 'good' || condition.kind === 'flaps') {
      later(condition.firstFrameMs, () => {
        path.hasPicture = true;
        listener.onFirstFrame();
      });
    }
    if (condition.kind === 'flaps') later(condition.firstFrameMs + condition.lifeMs, () => lose(path));
    return path;
  }
}

function lose(path: WorldPath): void {
  path.isLost = true;
  path.listener.onLost(new CodedError('UNAVAILABLE', 'The network has changed.'));
}

/** From picture straight to picture of a better tier, with the loss of that tier before it, if there was one. */
function returnsOf(changes: readonly Change[]): { readonly afterMs: number }[] {
  const lostAtMs = new Map<PathName, number>();
  const returns: { afterMs: number }[] = [];
  let before: Change | undefined;
  for (const change of changes) {
    const shown = before?.state.kind === 'playing' ? before.state.path : null;
    const next = change.state.kind === 'playing' ? change.state.path : null;
    const isBetter = shown !== null && next !== null && PATH_NAMES.indexOf(next) < PATH_NAMES.indexOf(shown);
    if (isBetter) {
      const lostMs = lostAtMs.get(next);
      if (lostMs !== undefined && !change.isForced) returns.push({ afterMs: change.atMs - lostMs });
    } else if (shown !== null) lostAtMs.set(shown, change.atMs);
    before = change;
  }
  return returns;
}

describe.each(SEEDS)('history %i', (seed) => {
  it('[T2] [T3] [T4] [T5] never flaps, never spins for ever, never leaks a path, and ends with the best tier that is stable', () => {
    const world = new World(seed);
    world.run();
    for (const { afterMs } of returnsOf(world.changes)) {
      expect(afterMs, 'back to a tier that was lost').toBeGreaterThanOrEqual(PLAYER_LIMITS.settleMs);
    }
    expect(world.maxOpen).toBeLessThanOrEqual(PLAYER_LIMITS.maxOpenPaths);
    world.changes.forEach(({ atMs, state }, index) => {
      if (state.kind !== 'connecting') return;
      const nextMs = world.changes[index + 1]?.atMs ?? world.clock.nowMs();
      expect(nextMs - atMs, 'a spinner').toBeLessThanOrEqual(PLAYER_LIMITS.noPictureMs);
    });

    const working = new Set(PATH_NAMES.filter(() => world.random() < 0.5));
    world.settle(working);
    const best = PATH_NAMES.find((name) => working.has(name));
    if (best === undefined) expect(world.player.state.kind).toBe('no-picture');
    else expect(world.player.state).toMatchObject({ kind: 'playing', path: best });
    world.player.close();
    expect(world.openCount).toBe(0);
    expect(world.clock.pendingCount).toBe(0);
  });
});

it('the histories are histories: pictures come, go and are replaced', () => {
  const worlds = SEEDS.map((seed) => {
    const world = new World(seed);
    world.run();
    world.player.close();
    return world;
  });
  const returned = worlds.flatMap(({ changes }) => returnsOf(changes));
  expect(returned.length).toBeGreaterThan(SEEDS.length);
  const kinds = new Set(worlds.flatMap(({ changes }) => changes.map(({ state }) => state.kind)));
  expect(kinds).toEqual(new Set(['connecting', 'playing', 'no-picture', 'idle']));
});
