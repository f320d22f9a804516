import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { anonymousBytes, cpuSeconds } from './process-usage.ts';
import { startHelper, type HelperProcess } from './helper-process.ts';
import type { BareFanOut } from './bare-fan-out.ts';
import type { FanOutLoad } from './fan-out-load.ts';

describe('a helper in a process of its own', () => {
  let bare: HelperProcess<BareFanOut>;

  beforeEach(() => {
    bare = startHelper<BareFanOut>('bare-fan-out.ts');
  });
  afterEach(() => bare.close());

  it('answers, and its cost is counted as its own', async () => {
    const load = startHelper<FanOutLoad>('fan-out-load.ts');
    try {
      const url = await bare.call('listen', undefined);
      const before = cpuSeconds(bare.pid);
      const index = await load.call('open', { kind: 'bare', url, viewers: 3, bitsPerSecond: 500_000 });
      const pushed = await load.call('push', { load: index, payloadBytes: 100_000_000 });
      expect(pushed).toBeGreaterThanOrEqual(100_000_000);
      expect(cpuSeconds(bare.pid)).toBeGreaterThan(before);
      expect(anonymousBytes(bare.pid)).toBeGreaterThan(1_000_000);
    } finally {
      await load.close();
    }
  });

  it('tells what it cannot do', async () => {
    const load = startHelper<FanOutLoad>('fan-out-load.ts');
    const target = { kind: 'bare', url: 'ws://127.0.0.1:1', viewers: 1, bitsPerSecond: 1 } as const;
    await expect(load.call('open', target)).rejects.toThrow('fan-out-load.ts: Error: connect ECONNREFUSED');
    await load.close();
  });

  it('that ends takes its unanswered calls with it', async () => {
    const load = startHelper<FanOutLoad>('fan-out-load.ts');
    const url = await bare.call('listen', undefined);
    const index = await load.call('open', { kind: 'bare', url, viewers: 1, bitsPerSecond: 500_000 });
    const endless = load.call('push', { load: index, payloadBytes: Number.MAX_SAFE_INTEGER });
    const failed = expect(endless).rejects.toThrow('fan-out-load.ts ended with SIGKILL.');
    await load.close();
    await failed;
    await load.close();
  });
});
