import { CodedError, type StreamState } from '@proofcast/shared';
import { describe, expect, it } from 'vitest';
import { PATH_NAMES } from '../player/video-path.ts';
import {
  delayText,
  PATH_LABELS,
  pastHint,
  pathDelayText,
  pathHint,
  pictureText,
  streamStateText,
} from './stream-text.ts';

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

describe('the path of a picture', () => {
  it('of WebRTC says what was measured: the whole way, or only from the server on', () => {
    expect(pathHint('webrtc', { ms: 1_200, isMinimum: false })).toContain('about 1.2 s late');
    expect(pathHint('webrtc', { ms: 1_200, isMinimum: true })).toContain('1.2 s of it were measured');
  });

  it('has a name and a reason of its own, which says how late the picture is', () => {
    expect(new Set(Object.values(PATH_LABELS)).size).toBe(PATH_NAMES.length);
    const hints = PATH_NAMES.map((path) => pathHint(path, { ms: 1_200, isMinimum: false }));
    expect(new Set(hints).size).toBe(PATH_NAMES.length);
    for (const hint of hints) expect(hint).toContain('1.2 s');
  });

  it('says of a still how old it is, not how late', () => {
    expect(pathDelayText('stills', { ms: 3_400, isMinimum: false })).toBe('3.4 s old');
    expect(pathDelayText('http', { ms: 3_400, isMinimum: false })).toBe('3.4 s');
  });

  it('is the recording while somebody looks back, and says how long ago that was', () => {
    expect(pastHint({ kind: 'playing', momentMs: 0 }, { ms: 42_000, isMinimum: false })).toContain(
      '42 s ago',
    );
    expect(pastHint({ kind: 'loading', momentMs: 0, error: null }, null)).toContain('asked for');
  });
});
