import { CodedError } from '@proofcast/shared';
import { beforeEach, describe, expect, it } from 'vitest';
import { HeldClock } from '../../testing/held-clock.ts';
import { PLAYER_LIMITS, TIER_LIMITS } from '../config.ts';
import { Player, type PlayerState } from './player.ts';
import { PATH_NAMES, type PathListener, type PathName } from './video-path.ts';

class OpenedPath {
  readonly name: PathName;
  readonly listener: PathListener;
  isClosed = false;
  /** The state of the player when this path was closed. */
  stateAtClose: PlayerState<OpenedPath> | undefined;

  constructor(name: PathName, listener: PathListener) {
    this.name = name;
    this.listener = listener;
  }

  close(): void {
    this.isClosed = true;
    this.stateAtClose = player.state;
  }
}

const lost = new CodedError('UNAVAILABLE', 'gone');
let clock: HeldClock;
let opened: OpenedPath[];
let states: PlayerState<OpenedPath>[];
let player: Player<OpenedPath>;
let hopeless: Set<PathName>;

beforeEach(() => {
  clock = new HeldClock();
  opened = [];
  states = [];
  hopeless = new Set();
  const open = (name: PathName) => (listener: PathListener) => {
    const path = new OpenedPath(name, listener);
    opened.push(path);
    return path;
  };
  player = new Player<OpenedPath>({
    tiers: PATH_NAMES.map((name) => ({ name, limits: TIER_LIMITS[name], open: open(name) })),
    limits: PLAYER_LIMITS,
    schedule: clock.schedule,
    nowMs: clock.nowMs,
    random: () => 0.999,
    onChange: (state) => states.push(state),
    isHopeless: (name) => hopeless.has(name),
  });
});

const all = (name: PathName): OpenedPath[] => opened.filter((path) => path.name === name);
const newest = (name: PathName): OpenedPath => {
  const path = all(name).at(-1);
  if (!path) throw new Error(`No ${name} path was opened.`);
  return path;
};
const openNow = (name: PathName): OpenedPath[] => all(name).filter((path) => !path.isClosed);
const shownPath = (): PathName | null => (player.state.kind === 'playing' ? player.state.path : null);

function showRelay(): void {
  player.setExpected(true);
  clock.advance(TIER_LIMITS.relay.headStartMs);
  newest('relay').listener.onFirstFrame();
}

function showWebRtc(): void {
  player.setExpected(true);
  newest('webrtc').listener.onFirstFrame();
}

describe('at the start', () => {
  it('opens nothing before a picture is expected', () => {
    expect(player.state).toEqual({ kind: 'idle' });
    expect(opened).toEqual([]);
  });

  it('tries WebRTC alone first', () => {
    player.setExpected(true);
    expect(opened.map((path) => path.name)).toEqual(['webrtc']);
    expect(player.state).toMatchObject({ kind: 'connecting', isLost: false });
  });

  it('never opens the relay when WebRTC has its picture in time', () => {
    player.setExpected(true);
    clock.advance(TIER_LIMITS.relay.headStartMs - 1);
    newest('webrtc').listener.onFirstFrame();
    clock.advance(60_000);
    expect(all('relay')).toEqual([]);
    expect(shownPath()).toBe('webrtc');
  });

  it('starts the relay beside WebRTC when no picture has come in time', () => {
    player.setExpected(true);
    clock.advance(TIER_LIMITS.relay.headStartMs - 1);
    expect(all('relay')).toEqual([]);
    clock.advance(1);
    expect(openNow('relay')).toHaveLength(1);
    expect(openNow('webrtc')).toHaveLength(1);
  });

  it('starts the relay at once when WebRTC fails at once', () => {
    player.setExpected(true);
    newest('webrtc').listener.onLost(lost);
    expect(openNow('relay')).toHaveLength(1);
  });

  it('starts the relay at once when WebRTC works nowhere on the page', () => {
    hopeless.add('webrtc');
    player.setExpected(true);
    clock.advance(0);
    expect(openNow('relay')).toHaveLength(1);
    expect(openNow('webrtc')).toHaveLength(1);
  });

  it('[T1] shows whichever path has a picture first', () => {
    showRelay();
    expect(shownPath()).toBe('relay');
    expect(openNow('webrtc')).toHaveLength(1);
  });

  it('does not show the relay over a WebRTC picture that came a moment before', () => {
    player.setExpected(true);
    clock.advance(TIER_LIMITS.relay.headStartMs);
    const relay = newest('relay');
    newest('webrtc').listener.onFirstFrame();
    relay.listener.onFirstFrame();
    expect(shownPath()).toBe('webrtc');
    expect(relay.isClosed).toBe(true);
  });
});

describe('when WebRTC is lost', () => {
  it('lets the relay take over, and says meanwhile that the picture is gone', () => {
    showWebRtc();
    const webrtc = newest('webrtc');
    webrtc.listener.onLost(lost);
    expect(player.state).toMatchObject({ kind: 'connecting', isLost: true });
    expect(webrtc.isClosed).toBe(true);
    newest('relay').listener.onFirstFrame();
    expect(shownPath()).toBe('relay');
  });

  it('announces the loss before the path is closed, so that the last picture can be kept', () => {
    showWebRtc();
    const webrtc = newest('webrtc');
    webrtc.listener.onLost(lost);
    expect(webrtc.stateAtClose).toMatchObject({ kind: 'connecting' });
  });

  it('hears nothing of a path that is over', () => {
    showWebRtc();
    const webrtc = newest('webrtc');
    webrtc.listener.onLost(lost);
    const before = player.state;
    webrtc.listener.onFirstFrame();
    webrtc.listener.onLost(lost);
    expect(player.state).toBe(before);
  });
});

describe('while the relay is shown', () => {
  it('tries WebRTC again with a growing delay that is capped', () => {
    showRelay();
    const waitsMs: number[] = [];
    for (let attempt = 0; attempt < 10; attempt += 1) {
      const before = all('webrtc').length;
      newest('webrtc').listener.onLost(lost);
      const lostAtMs = clock.nowMs();
      while (all('webrtc').length === before) clock.advance(50);
      waitsMs.push(clock.nowMs() - lostAtMs);
    }
    expect(waitsMs[0]).toBeLessThanOrEqual(TIER_LIMITS.webrtc.retry.initialDelayMs);
    expect(waitsMs.toSorted((a, b) => a - b)).toEqual(waitsMs);
    expect(waitsMs.at(-1)).toBeLessThanOrEqual(TIER_LIMITS.webrtc.retry.maxDelayMs);
    expect(shownPath()).toBe('relay');
  });

  it('gives up an attempt that brings no picture in time, and makes another', () => {
    showRelay();
    const first = newest('webrtc');
    clock.advance(TIER_LIMITS.webrtc.firstFrameMs);
    expect(first.isClosed).toBe(true);
    clock.advance(TIER_LIMITS.webrtc.retry.initialDelayMs);
    expect(newest('webrtc')).not.toBe(first);
  });

  it('[T2] swaps WebRTC in when its picture is decoded, and closes the relay only then', () => {
    showRelay();
    const relay = newest('relay');
    newest('webrtc').listener.onFirstFrame();
    expect(shownPath()).toBe('webrtc');
    expect(relay.isClosed).toBe(true);
    expect(relay.stateAtClose).toMatchObject({ kind: 'playing', path: 'webrtc' });
    expect(states.filter((state) => state.kind === 'connecting')).toHaveLength(1);
  });

  it('makes a WebRTC that has just failed with a picture prove itself before it is shown again', () => {
    showRelay();
    newest('webrtc').listener.onFirstFrame();
    clock.advance(1_000);
    newest('webrtc').listener.onLost(lost);
    newest('relay').listener.onFirstFrame();
    clock.advance(TIER_LIMITS.webrtc.retry.maxDelayMs);
    newest('webrtc').listener.onFirstFrame();
    clock.advance(PLAYER_LIMITS.settleMs - 1);
    expect(shownPath()).toBe('relay');
    clock.advance(1);
    expect(shownPath()).toBe('webrtc');
    expect(openNow('relay')).toEqual([]);
  });

  it('does not wait for an unstable WebRTC to settle when the relay is lost as well', () => {
    showRelay();
    newest('webrtc').listener.onFirstFrame();
    newest('webrtc').listener.onLost(lost);
    newest('relay').listener.onFirstFrame();
    clock.advance(TIER_LIMITS.webrtc.retry.maxDelayMs);
    newest('webrtc').listener.onFirstFrame();
    expect(shownPath()).toBe('relay');
    newest('relay').listener.onLost(lost);
    expect(shownPath()).toBe('webrtc');
  });

  it('[T3] lets WebRTC prove itself for longer the more of its pictures died young, up to a limit', () => {
    showRelay();
    newest('webrtc').listener.onFirstFrame();
    const waitsMs: number[] = [];
    for (let death = 0; death < 8; death += 1) {
      newest('webrtc').listener.onLost(lost);
      if (shownPath() !== 'relay') newest('relay').listener.onFirstFrame();
      while (openNow('webrtc').length === 0) clock.advance(100);
      newest('webrtc').listener.onFirstFrame();
      const readyAtMs = clock.nowMs();
      while (shownPath() === 'relay') clock.advance(100);
      waitsMs.push(clock.nowMs() - readyAtMs);
    }
    expect(waitsMs.slice(0, 3)).toEqual([1, 2, 4].map((times) => times * PLAYER_LIMITS.settleMs));
    expect(waitsMs.at(-1)).toBe(PLAYER_LIMITS.maxSettleMs);
  });

  it('trusts WebRTC as at first once it was good for a while, but lets it settle', () => {
    showRelay();
    newest('webrtc').listener.onFirstFrame();
    for (let death = 0; death < 3; death += 1) {
      newest('webrtc').listener.onLost(lost);
      if (shownPath() !== 'relay') newest('relay').listener.onFirstFrame();
      clock.advance(TIER_LIMITS.webrtc.retry.maxDelayMs);
      newest('webrtc').listener.onFirstFrame();
      clock.advance(PLAYER_LIMITS.maxSettleMs);
    }
    clock.advance(PLAYER_LIMITS.stableMs);
    newest('webrtc').listener.onLost(lost);
    newest('relay').listener.onFirstFrame();
    clock.advance(TIER_LIMITS.webrtc.retry.initialDelayMs);
    newest('webrtc').listener.onFirstFrame();
    clock.advance(PLAYER_LIMITS.settleMs - 1);
    expect(shownPath()).toBe('relay');
    clock.advance(1);
    expect(shownPath()).toBe('webrtc');
  });

  it('tries WebRTC at once when the relay is lost', () => {
    showRelay();
    for (let attempt = 0; attempt < 6; attempt += 1) {
      newest('webrtc').listener.onLost(lost);
      clock.advance(TIER_LIMITS.webrtc.retry.maxDelayMs);
    }
    newest('webrtc').listener.onLost(lost);
    expect(openNow('webrtc')).toEqual([]);
    newest('relay').listener.onLost(lost);
    expect(openNow('webrtc')).toHaveLength(1);
  });
});

describe('when nothing comes', () => {
  it('[T4] says so after a time, with the reason of each path, and goes on trying', () => {
    player.setExpected(true);
    for (const name of PATH_NAMES) newest(name).listener.onLost(lost);
    expect(player.state.kind).toBe('connecting');
    clock.advance(PLAYER_LIMITS.noPictureMs);
    expect(player.state).toMatchObject({
      kind: 'no-picture',
      failures: PATH_NAMES.map((path) => ({ path, error: expect.any(CodedError) })),
    });
    const attempts = opened.length;
    clock.advance(120_000);
    expect(opened.length).toBeGreaterThan(attempts);
  });

  it('shows a picture that comes after all', () => {
    player.setExpected(true);
    clock.advance(PLAYER_LIMITS.noPictureMs);
    expect(player.state.kind).toBe('no-picture');
    while (openNow('relay').length === 0) clock.advance(100);
    newest('relay').listener.onFirstFrame();
    expect(shownPath()).toBe('relay');
  });

  it('keeps the reasons up to date', () => {
    player.setExpected(true);
    clock.advance(PLAYER_LIMITS.noPictureMs);
    while (openNow('relay').length === 0) clock.advance(100);
    const blocked = new CodedError('TIMEOUT', 'blocked');
    newest('relay').listener.onLost(blocked);
    const { failures } = player.state as PlayerState<OpenedPath> & { kind: 'no-picture' };
    expect(failures.find(({ path }) => path === 'relay')?.error).toBe(blocked);
  });

  it('tries at once what waits when it hears that things are better', () => {
    player.setExpected(true);
    for (let attempt = 0; attempt < 6; attempt += 1) {
      for (const path of opened) path.listener.onLost(lost);
      clock.advance(TIER_LIMITS.webrtc.retry.maxDelayMs);
    }
    for (const path of opened) path.listener.onLost(lost);
    expect(openNow('webrtc')).toEqual([]);
    player.retryNow();
    expect(openNow('webrtc')).toHaveLength(1);
  });
});

describe('a path that is likely to work again', () => {
  it('[T10] is tried at once, and waits as long as it would have when that fails', () => {
    player.setExpected(true);
    const failures = 6;
    for (let failure = 1; failure <= failures; failure += 1) {
      newest('webrtc').listener.onLost(lost);
      if (failure < failures) clock.advance(TIER_LIMITS.webrtc.retry.maxDelayMs);
    }
    expect(openNow('webrtc')).toEqual([]);
    const attempts = all('webrtc').length;
    player.hurry('webrtc');
    expect(all('webrtc')).toHaveLength(attempts + 1);
    player.hurry('webrtc');
    expect(all('webrtc')).toHaveLength(attempts + 1);
    newest('webrtc').listener.onLost(lost);
    clock.advance(TIER_LIMITS.webrtc.retry.initialDelayMs * 2 ** (failures - 1));
    expect(openNow('webrtc')).toEqual([]);
  });

  it('is not tried before its head start is over, nor when nothing is expected', () => {
    player.hurry('webrtc');
    expect(opened).toEqual([]);
    player.setExpected(true);
    player.hurry('relay');
    expect(all('relay')).toEqual([]);
  });
});

describe('the tiers below', () => {
  const failAll = (...names: PathName[]): void => {
    for (const name of names) newest(name).listener.onLost(lost);
  };

  it('[T1] are called up one after the other as those above fail', () => {
    player.setExpected(true);
    failAll('webrtc');
    expect(opened.map(({ name }) => name)).toEqual(['webrtc', 'relay']);
    failAll('relay');
    expect(openNow('http')).toHaveLength(1);
    failAll('http');
    expect(openNow('stills')).toHaveLength(1);
    newest('stills').listener.onFirstFrame();
    expect(shownPath()).toBe('stills');
  });

  it('have their own head starts when those above neither fail nor bring a picture', () => {
    player.setExpected(true);
    clock.advance(TIER_LIMITS.http.headStartMs - 1);
    expect(all('http')).toEqual([]);
    clock.advance(1);
    expect(openNow('http')).toHaveLength(1);
  });

  it('[T5] wait for room when as many paths are open as may be', () => {
    player.setExpected(true);
    clock.advance(TIER_LIMITS.stills.headStartMs);
    expect(opened.filter(({ isClosed }) => !isClosed)).toHaveLength(PLAYER_LIMITS.maxOpenPaths);
    expect(all('stills')).toEqual([]);
    failAll('relay');
    expect(openNow('stills')).toHaveLength(1);
  });

  it('need not wait for those that work nowhere on the page', () => {
    hopeless.add('webrtc').add('relay');
    player.setExpected(true);
    expect(openNow('http')).toHaveLength(1);
    expect(openNow('webrtc')).toHaveLength(1);
  });

  it('[T2] are left step by step as better ones come, and closed then', () => {
    player.setExpected(true);
    failAll('webrtc', 'relay', 'http');
    newest('stills').listener.onFirstFrame();
    for (const name of ['http', 'relay', 'webrtc'] as const) {
      while (openNow(name).length === 0) clock.advance(100);
      newest(name).listener.onFirstFrame();
      expect(shownPath()).toBe(name);
    }
    expect(opened.filter(({ isClosed }) => !isClosed)).toHaveLength(1);
    expect(states.filter(({ kind }) => kind === 'connecting')).toHaveLength(1);
    clock.advance(120_000);
    expect(opened.filter(({ isClosed }) => !isClosed)).toHaveLength(1);
  });

  it('take over all together when the picture above them is lost', () => {
    showWebRtc();
    failAll('webrtc');
    expect(openNow('relay')).toHaveLength(1);
    clock.advance(TIER_LIMITS.http.headStartMs - TIER_LIMITS.relay.headStartMs);
    expect(openNow('http')).toHaveLength(1);
  });
});

describe('when no picture is expected any more', () => {
  it('shows the picture for as long as it lasts, then nothing', () => {
    showWebRtc();
    player.setExpected(false);
    expect(shownPath()).toBe('webrtc');
    newest('webrtc').listener.onLost(lost);
    expect(player.state).toEqual({ kind: 'idle' });
    clock.advance(120_000);
    expect(opened).toHaveLength(1);
  });

  it('ends what is being tried', () => {
    player.setExpected(true);
    clock.advance(TIER_LIMITS.relay.headStartMs);
    player.setExpected(false);
    expect(player.state).toEqual({ kind: 'idle' });
    expect(opened.every((path) => path.isClosed)).toBe(true);
    expect(clock.pendingCount).toBe(0);
  });

  it('begins again when one is expected again', () => {
    showWebRtc();
    player.setExpected(false);
    newest('webrtc').listener.onLost(lost);
    player.setExpected(true);
    expect(openNow('webrtc')).toHaveLength(1);
  });
});

describe('after close', () => {
  it('has closed both paths and left no timer', () => {
    showRelay();
    player.close();
    player.close();
    expect(opened.every((path) => path.isClosed)).toBe(true);
    expect(clock.pendingCount).toBe(0);
  });

  it('does nothing any more', () => {
    showRelay();
    const relay = newest('relay');
    player.close();
    const changes = states.length;
    relay.listener.onLost(lost);
    player.setExpected(true);
    player.retryNow();
    clock.advance(120_000);
    expect(states).toHaveLength(changes);
    expect(openNow('relay')).toEqual([]);
  });
});
