import { describe, expect, it } from 'vitest';
import { Sharing } from './sharing.ts';

describe('sharing', () => {
  it('gives the source that was asked for, once', () => {
    const sharing = new Sharing();
    sharing.begin('screen:1:0');
    expect(sharing.takeSource()).toBe('screen:1:0');
    expect(sharing.takeSource()).toBeNull();
    expect(sharing.isActive).toBe(true);
  });

  it('gives no source before it begins and after it ends', () => {
    const sharing = new Sharing();
    expect(sharing.takeSource()).toBeNull();
    sharing.begin('screen:1:0');
    sharing.end();
    expect(sharing.takeSource()).toBeNull();
    expect(sharing.isActive).toBe(false);
  });

  it('tells those who wait when it has ended', async () => {
    const sharing = new Sharing();
    sharing.begin('screen:1:0');
    const ended = sharing.whenEnded(60_000);
    sharing.end();
    await ended;
    await sharing.whenEnded(60_000);
  });

  it('lets nobody wait for ever', async () => {
    const sharing = new Sharing();
    sharing.begin('screen:1:0');
    await sharing.whenEnded(1);
    expect(sharing.isActive).toBe(true);
  });
});
