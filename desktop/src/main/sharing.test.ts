import { describe, expect, it } from 'vitest';
import { Sharing } from './sharing.ts';

const SCREEN = { sourceId: 'screen:1:0', name: 'Entire screen' };
const WINDOW = { sourceId: 'window:7:0', name: 'Letter' };

const open = () => new Sharing(() => undefined);

describe('sharing', () => {
  it('gives the source that was asked for, once', () => {
    const sharing = open();
    sharing.begin(SCREEN);
    expect(sharing.takeSource()).toBe('screen:1:0');
    expect(sharing.takeSource()).toBeNull();
    expect(sharing.isActive).toBe(true);
    expect(sharing.description).toEqual({ kind: 'active' });
  });

  it('gives no source before it begins and after it ends', () => {
    const sharing = open();
    expect(sharing.takeSource()).toBeNull();
    expect(() => sharing.source).toThrow('Nothing is being shared');
    sharing.begin(SCREEN);
    sharing.end();
    expect(sharing.takeSource()).toBeNull();
    expect(sharing.isActive).toBe(false);
  });

  it('has sound while a source with sound is shared, and not when it has been stopped', () => {
    const sharing = open();
    sharing.begin({ ...SCREEN, sound: { deviceId: 'default', name: 'Microphone' } });
    expect(sharing.isSoundShared).toBe(true);
    sharing.takeSource();
    expect(sharing.isSoundShared).toBe(true);
    sharing.announceStop();
    expect(sharing.isSoundShared).toBe(false);
    sharing.end();
    sharing.begin(SCREEN);
    expect(sharing.isSoundShared).toBe(false);
  });

  it('can be given another source while it goes on', () => {
    const sharing = open();
    sharing.begin(SCREEN);
    sharing.takeSource();
    sharing.begin(WINDOW);
    expect(sharing.source).toEqual(WINDOW);
    expect(sharing.takeSource()).toBe('window:7:0');
  });

  it('[U2] outlives the page, and the next one may capture the same source', () => {
    const sharing = open();
    sharing.begin(SCREEN);
    sharing.takeSource();
    sharing.interrupt();
    const { kind, ...rest } = sharing.description;
    expect(kind).toBe('interrupted');
    expect(rest).toEqual({ source: SCREEN, startedAtMs: expect.any(Number), sinceMs: expect.any(Number) });
    expect(sharing.takeSource()).toBeNull();
    expect(sharing.continue()).toEqual(SCREEN);
    expect(() => sharing.continue()).toThrow('No share was interrupted');
    expect(sharing.takeSource()).toBe('screen:1:0');
  });

  it('whose source is gone is not taken up by the next page unasked', () => {
    const sharing = open();
    sharing.begin(WINDOW);
    sharing.takeSource();
    sharing.lose(WINDOW.sourceId);
    sharing.interrupt();
    expect(sharing.description).toMatchObject({ kind: 'lost', source: WINDOW });
  });

  it('does not lose its source by a late word about the one before', () => {
    const sharing = open();
    sharing.begin(WINDOW);
    sharing.takeSource();
    sharing.begin(SCREEN);
    sharing.lose(WINDOW.sourceId);
    expect(sharing.takeSource()).toBe('screen:1:0');
    sharing.lose(WINDOW.sourceId);
    sharing.interrupt();
    expect(sharing.description).toMatchObject({ kind: 'interrupted', source: SCREEN });
  });

  it('that is being stopped is not taken up by the next page, and gets no other source', () => {
    const sharing = open();
    sharing.begin(SCREEN);
    sharing.takeSource();
    sharing.announceStop();
    sharing.interrupt();
    expect(sharing.isStopping).toBe(true);
    expect(() => sharing.begin(WINDOW)).toThrow('being stopped');
    expect(sharing.takeSource()).toBeNull();
    sharing.end();
    sharing.announceStop();
    expect(sharing.isActive).toBe(false);
  });

  it('announces every change', () => {
    let changes = 0;
    const sharing = new Sharing(() => (changes += 1));
    sharing.begin(SCREEN);
    sharing.takeSource();
    sharing.takeSource();
    sharing.end();
    expect(changes).toBe(3);
  });

  it('tells those who wait when it has ended', async () => {
    const sharing = open();
    sharing.begin(SCREEN);
    const ended = sharing.whenEnded(60_000);
    sharing.end();
    await ended;
    await sharing.whenEnded(60_000);
  });

  it('lets nobody wait for ever', async () => {
    const sharing = open();
    sharing.begin(SCREEN);
    await sharing.whenEnded(1);
    expect(sharing.isActive).toBe(true);
  });
});
