import { CodedError, type StreamState } from '@proofcast/shared';
import { describe, expect, it } from 'vitest';
import { delayText, pictureText, streamStateText } from './stream-text.ts';

const LIVE: StreamState = { kind: 'live', sinceMs: 1_000 };
const STATES: StreamState[] = [
  LIVE,
  { kind: 'reconnecting', sinceMs: 1_000 },
  { kind: 'capture-stalled', sinceMs: 1_000 },
  { kind: 'offline', sinceMs: 1_000 },
];

describe('the state of a stream', () => {
  it('differs from every other in tone, shape and word', () => {
    const texts = STATES.map(streamStateText);
    for (const key of ['tone', 'shape', 'label'] as const) {
      expect(new Set(texts.map((text) => text[key])).size).toBe(STATES.length);
    }
  });

  it('says since when, and admits that a stream was never live', () => {
    expect(streamStateText(LIVE).sinceMs).toBe(1_000);
    expect(streamStateText({ kind: 'offline', sinceMs: null })).toMatchObject({
      label: 'Never live',
      sinceMs: null,
    });
  });
});

describe('in place of a picture', () => {
  it('stands nothing while there is one', () => {
    expect(pictureText(LIVE, { kind: 'playing', path: 'relay', picture: {}, sinceMs: 0 }, 0)).toBeNull();
  });

  it('stands whether it is the first one that is looked for, or one that was lost', () => {
    const first = pictureText(LIVE, { kind: 'connecting', sinceMs: 0, isLost: false }, 0);
    const lost = pictureText(LIVE, { kind: 'connecting', sinceMs: 0, isLost: true }, 0);
    expect(first).toMatchObject({ isBusy: true, title: 'Connecting' });
    expect(lost).toMatchObject({ isBusy: true, title: 'Picture lost' });
  });

  it('stands, without a spinner, for how long there is none and what each path says', () => {
    const failures = [{ path: 'webrtc' as const, error: new CodedError('TIMEOUT', 'Too late.') }];
    const text = pictureText(LIVE, { kind: 'no-picture', sinceMs: 0, failures }, 12_000);
    expect(text).toMatchObject({
      isBusy: false,
      title: 'No picture for 12 s',
      reasons: ['WebRTC: Too late.'],
    });
  });

  it('stands since when a stream is offline, or that it never was live', () => {
    const idle = { kind: 'idle' } as const;
    expect(pictureText({ kind: 'offline', sinceMs: 0 }, idle, 60_000)).toMatchObject({
      title: 'Offline',
      detail: 'for 1 min',
    });
    expect(pictureText({ kind: 'offline', sinceMs: null }, idle, 0)).toMatchObject({
      title: 'Not shared yet',
    });
  });
});

it('a delay of which only a part was measured reads as a minimum', () => {
  expect(delayText({ ms: 40, isMinimum: true })).toBe('≥ 40 ms');
  expect(delayText({ ms: 1_200, isMinimum: false })).toBe('1.2 s');
});
