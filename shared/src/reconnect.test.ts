import { describe, expect, it } from 'vitest';
import { createReconnectPolicy } from './reconnect.ts';

const limits = { initialDelayMs: 100, maxDelayMs: 1000 };

describe('createReconnectPolicy', () => {
  it('[I15] doubles the delay up to the cap and never gives up', () => {
    const policy = createReconnectPolicy(limits, () => 1);
    const delays = Array.from({ length: 6 }, () => policy.nextDelayMs());
    expect(delays).toEqual([100, 200, 400, 800, 1000, 1000]);
    for (let i = 0; i < 5000; i++) expect(policy.nextDelayMs()).toBe(1000);
  });

  it('[I15] spreads the delays over the upper half', () => {
    const shortest = createReconnectPolicy(limits, () => 0);
    expect([shortest.nextDelayMs(), shortest.nextDelayMs()]).toEqual([50, 100]);
  });

  it('begins again after a connection has proven itself', () => {
    const policy = createReconnectPolicy(limits, () => 1);
    policy.nextDelayMs();
    policy.nextDelayMs();
    policy.reset();
    expect(policy.attempts).toBe(0);
    expect(policy.nextDelayMs()).toBe(100);
  });
});
