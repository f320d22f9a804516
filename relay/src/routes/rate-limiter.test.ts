import { CodedError } from '@proofcast/shared';
import { describe, expect, it } from 'vitest';
import { HeldClock } from '../../testing/held-clock.ts';
import { countFailures, RateLimiter } from './rate-limiter.ts';

const LIMIT = { count: 3, perMs: 30_000 };
const refusal = expect.objectContaining({ code: 'TOO_MANY_REQUESTS' });

function createLimiter() {
  const clock = new HeldClock(1_000_000);
  return { clock, limiter: new RateLimiter({ limit: LIMIT, clock }) };
}

describe('RateLimiter', () => {
  it('[A6] lets so many calls through at once, then one for each part of the time', () => {
    const { clock, limiter } = createLimiter();
    for (let call = 0; call < 3; call += 1) limiter.take('a');
    expect(() => limiter.take('a')).toThrow(refusal);
    clock.advance(9_999);
    expect(() => limiter.take('a')).toThrow(refusal);
    clock.advance(1);
    limiter.take('a');
    expect(() => limiter.take('a')).toThrow(refusal);
  });

  it('says how long to wait, and that is long enough', () => {
    const { clock, limiter } = createLimiter();
    for (let call = 0; call < 3; call += 1) limiter.take('a');
    clock.advance(1_234);
    let retryAfterMs = 0;
    try {
      limiter.take('a');
    } catch (error) {
      retryAfterMs = Number((error as CodedError).details?.['retryAfterMs']);
    }
    expect(retryAfterMs).toBe(8_766);
    clock.advance(retryAfterMs);
    limiter.take('a');
  });

  it('counts each caller for itself, and nobody saves up more than the whole', () => {
    const { clock, limiter } = createLimiter();
    clock.advance(10 * LIMIT.perMs);
    for (let call = 0; call < 3; call += 1) limiter.take('a');
    expect(() => limiter.take('a')).toThrow(refusal);
    limiter.take('b');
  });

  it('keeps nobody out for longer than a full refill when the clock is set back', () => {
    const { clock, limiter } = createLimiter();
    for (let call = 0; call < 3; call += 1) limiter.take('a');
    clock.advance(-3_600_000);
    expect(() => limiter.take('a')).toThrow(refusal);
    clock.advance(LIMIT.perMs);
    limiter.take('a');
  });

  it('forgets the quietest caller when there are too many', () => {
    const { limiter } = createLimiter();
    for (let call = 0; call < 3; call += 1) limiter.take('quiet');
    for (let caller = 0; caller < 10_000; caller += 1) limiter.take(`caller ${caller}`);
    limiter.take('quiet');
  });
});

describe('countFailures', () => {
  const wrong = () => Promise.reject(new CodedError('CREDENTIALS_WRONG', 'wrong'));

  it('counts wrong guesses, and neither successes nor failures of ours', async () => {
    const { limiter } = createLimiter();
    const counters = [{ limiter, key: 'a' }];
    for (let call = 0; call < 10; call += 1) {
      expect(await countFailures(counters, () => Promise.resolve('right'))).toBe('right');
      await expect(
        countFailures(counters, () => Promise.reject(new CodedError('UNAVAILABLE', 'busy'))),
      ).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    }
    for (let call = 0; call < 3; call += 1) {
      await expect(countFailures(counters, wrong)).rejects.toMatchObject({ code: 'CREDENTIALS_WRONG' });
    }
    await expect(countFailures(counters, () => Promise.resolve('right'))).rejects.toThrow(refusal);
  });

  it('lets no more guesses through when they come all at once', async () => {
    const { limiter } = createLimiter();
    const guesses = Array.from({ length: 20 }, () => countFailures([{ limiter, key: 'a' }], wrong));
    const codes = (await Promise.allSettled(guesses)).map((guess) =>
      guess.status === 'rejected' ? (guess.reason as CodedError).code : 'none',
    );
    expect(codes.filter((code) => code === 'CREDENTIALS_WRONG')).toHaveLength(3);
  });
});
