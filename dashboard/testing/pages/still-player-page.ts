/**
 * Scenarios of still pictures in a real browser; called from still-player.browser.test.ts. The pictures are real JPEGs
 * and really decoded; only the relay's answers are played by the page, and time is held.
 */
import { CodedError } from '@proofcast/shared';
import { STILL_INTERVAL_MS, STILL_SILENCE_MS } from '../../src/config.ts';
import { StillPlayer } from '../../src/player/still-player.ts';
import { VideoPool } from '../../src/player/video-pool.ts';
import { HeldClock } from '../held-clock.ts';

type Answer = () => Promise<Response>;

const SIZE = { width: 64, height: 36 };
const CAPTURED_AT_MS = 5_000_000;

async function jpegOf(colour: string): Promise<Blob> {
  const canvas = new OffscreenCanvas(SIZE.width, SIZE.height);
  const context = canvas.getContext('2d');
  if (!context) throw new Error('This browser has no 2D canvas.');
  context.fillStyle = colour;
  context.fillRect(0, 0, SIZE.width, SIZE.height);
  return canvas.convertToBlob({ type: 'image/jpeg', quality: 1 });
}

function still(blob: Blob, capturedAtMs: number): Answer {
  return () =>
    Promise.resolve(new Response(blob, { headers: { 'x-capture-time-us': String(capturedAtMs * 1000) } }));
}

const refusal =
  (code: 'STREAM_OFFLINE' | 'STILL_NOT_FOUND'): Answer =>
  () =>
    Promise.reject(new CodedError(code, 'no'));

class Bench {
  readonly clock = new HeldClock();
  readonly canvas = document.createElement('canvas');
  readonly log: string[] = [];
  readonly player: StillPlayer;
  answer: Answer;
  requests = 0;
  isLive = true;
  #answered = Promise.withResolvers<void>();

  constructor(answer: Answer) {
    this.answer = answer;
    this.player = new StillPlayer(
      {
        request: async () => {
          this.requests += 1;
          return this.answer();
        },
        relayNowMs: () => CAPTURED_AT_MS + 4_000,
        canvas: this.canvas,
        schedule: (callback, delayMs) => {
          // Each answer ends with the next one being scheduled, or with none.
          this.#answered.resolve();
          return this.clock.schedule(callback, delayMs);
        },
        nowMs: this.clock.nowMs,
        isLive: () => this.isLive,
      },
      {
        onFirstFrame: () => this.log.push('first frame'),
        onLost: ({ code }) => {
          this.log.push(`lost ${code}`);
          this.#answered.resolve();
        },
      },
    );
  }

  /** Lets time pass until the next request, and waits until its answer was dealt with. */
  async next(ms = STILL_INTERVAL_MS): Promise<void> {
    this.#answered = Promise.withResolvers();
    this.clock.advance(ms);
    await this.#answered.promise;
  }

  colour(): string {
    const [red = 0, green = 0] = this.canvas.getContext('2d')?.getImageData(5, 5, 1, 1).data ?? [];
    return red > green ? 'red' : 'green';
  }
}

async function logOfLoss(answer: Answer): Promise<string[]> {
  const bench = new Bench(answer);
  for (let attempt = 0; attempt < 3; attempt += 1) await bench.next();
  bench.player.close();
  return bench.log;
}

const scenarios = {
  async pictures() {
    const bench = new Bench(still(await jpegOf('#f00'), CAPTURED_AT_MS - 2_000));
    await bench.next();
    const colours = [bench.colour()];
    bench.answer = still(await jpegOf('#0a0'), CAPTURED_AT_MS);
    await bench.next();
    colours.push(bench.colour());
    const size = [bench.canvas.width, bench.canvas.height];
    const delayMs = bench.player.readDelay()?.ms ?? null;
    bench.player.close();
    return { log: bench.log, size, colours, delayMs };
  },

  async noneYet() {
    const bench = new Bench(refusal('STILL_NOT_FOUND'));
    for (let attempt = 0; attempt < 6; attempt += 1) await bench.next(STILL_INTERVAL_MS / 4);
    bench.answer = still(await jpegOf('#f00'), CAPTURED_AT_MS);
    await bench.next();
    bench.player.close();
    return { log: bench.log, requests: bench.requests };
  },

  async failures() {
    return {
      refused: await logOfLoss(refusal('STREAM_OFFLINE')),
      garbage: await logOfLoss(still(new Blob(['no picture']), CAPTURED_AT_MS)),
      undated: await logOfLoss(async () => new Response(await jpegOf('#f00'))),
    };
  },

  async silence() {
    const bench = new Bench(still(await jpegOf('#f00'), CAPTURED_AT_MS));
    await bench.next();
    bench.isLive = false;
    for (let passedMs = 0; passedMs <= STILL_SILENCE_MS; passedMs += STILL_INTERVAL_MS) await bench.next();
    const whileNotLive = [...bench.log];
    bench.isLive = true;
    for (let passedMs = 0; passedMs <= STILL_SILENCE_MS; passedMs += STILL_INTERVAL_MS) await bench.next();
    bench.player.close();
    return { whileNotLive, log: bench.log };
  },

  async hidden() {
    const bench = new Bench(still(await jpegOf('#f00'), CAPTURED_AT_MS));
    await bench.next();
    const before = bench.requests;
    bench.player.setPreference({ isVisible: false, widthPx: 0, isFocus: false, isHeard: false });
    bench.clock.advance(10 * STILL_SILENCE_MS);
    const whileHidden = bench.requests - before;
    bench.player.setPreference({ isVisible: true, widthPx: 300, isFocus: false, isHeard: false });
    await bench.next(0);
    const afterShown = bench.requests - before;
    bench.player.close();
    return { whileHidden, afterShown };
  },

  async close() {
    const { promise, resolve } = Promise.withResolvers<Response>();
    const bench = new Bench(() => promise);
    bench.clock.advance(0);
    bench.player.close();
    bench.player.close();
    resolve(await still(await jpegOf('#f00'), CAPTURED_AT_MS)());
    // A picture that would still be drawn is decoded long before a frame and a task have passed.
    await new Promise(requestAnimationFrame);
    await new Promise((done) => setTimeout(done, 100));
    bench.clock.advance(10 * STILL_SILENCE_MS);
    return { log: bench.log, requests: bench.requests, pendingTimers: bench.clock.pendingCount };
  },

  async pool() {
    const pool = new VideoPool({ maxIdle: 1 });
    const video = pool.take();
    document.body.append(video);
    video.src = URL.createObjectURL(new MediaSource());
    video.playbackRate = 1.05;
    video.className = 'shown';
    video.dataset['testid'] = 'video';
    const other = pool.take();
    pool.giveBack(video);
    pool.giveBack(video);
    pool.giveBack(other);
    const idle = pool.idleCount;
    const again = pool.take();
    return {
      isSame: again === video && !again.isConnected,
      idle,
      leftovers: {
        source: again.getAttribute('src'),
        rate: again.playbackRate,
        className: again.className,
        testId: again.dataset['testid'],
        isMuted: again.muted,
      },
    };
  },
};

Object.assign(window, { scenarios });
export type Scenarios = typeof scenarios;
