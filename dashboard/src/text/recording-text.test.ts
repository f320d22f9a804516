import type { Gap, GapReason, RecordingState, TimedEvent } from '@proofcast/shared';
import { describe, expect, it } from 'vitest';
import { eventText } from './event-text.ts';
import { derivativeStateText } from './derivative-text.ts';
import { gapLengthText, gapText } from './gap-text.ts';
import {
  gapCountText,
  recordingStateNote,
  recordingStateText,
  recordingTroubleText,
} from './recording-text.ts';

const STATES: RecordingState[] = ['recording', 'reconnecting', 'provisional', 'sealing', 'sealed', 'failed'];
const FULL = { code: 'STORAGE_FULL', message: 'The disk has 3 MB left.' };

describe('the state of a recording', () => {
  it('differs from every other in its shape and in its word', () => {
    const texts = STATES.map(recordingStateText);
    for (const key of ['shape', 'label'] as const) {
      expect(new Set(texts.map((text) => text[key])).size).toBe(STATES.length);
    }
  });

  it('is explained as long as it is not final, and not when it is', () => {
    const noteOf = (state: RecordingState) => recordingStateNote({ state, failure: null });
    expect(noteOf('provisional')).toContain('When the device comes back');
    expect(STATES.filter((state) => noteOf(state) === '')).toEqual(['sealed', 'failed']);
  });

  it('tells calmly that a file could not be made yet, and as it is that there will be none', () => {
    const sealing = { state: 'sealing' as const, failure: FULL };
    expect(recordingStateNote(sealing)).toContain('The disk has 3 MB left. It is tried again by itself.');
    expect(recordingTroubleText(sealing)).toBe('Its file could not be made yet; it is tried again');
    expect(recordingTroubleText({ state: 'failed', failure: FULL })).toBe('The disk has 3 MB left.');
    expect(recordingTroubleText({ state: 'sealed', failure: null })).toBe('');
  });

  it('does not ask the reader to try again what the server does by itself', () => {
    const failure = { code: 'INTERNAL', message: 'ENOSPC' };
    expect(recordingStateNote({ state: 'sealing', failure })).not.toContain('Try again');
    expect(recordingStateNote({ state: 'sealing', failure })).not.toContain('ENOSPC');
  });
});

describe('gaps', () => {
  it.each([
    [null, 'recording', ''],
    [0, 'sealed', 'No gaps'],
    [1, 'provisional', '1 gap'],
    [12, 'sealed', '12 gaps'],
    [0, 'failed', ''],
  ] as const)('%s of a recording that is %s read "%s"', (gapCount, state, text) => {
    expect(gapCountText({ gapCount, state })).toBe(text);
  });

  it('have for each reason a word and an explanation of their own', () => {
    const reasons: Record<GapReason, true> = {
      paused: true,
      policy: true,
      'screen-locked': true,
      'capture-stalled': true,
      'source-changed': true,
      'recorder-restarted': true,
      suspended: true,
      'spool-full': true,
      'publisher-crashed': true,
      'publisher-offline': true,
      'no-data': true,
      unknown: true,
    };
    const texts = (Object.keys(reasons) as Gap['reason'][]).map(gapText);
    expect(new Set(texts.map(({ label }) => label)).size).toBe(texts.length);
    expect(new Set(texts.map(({ explanation }) => explanation)).size).toBe(texts.length);
    expect(gapText('paused').tone).toBe('quiet');
    expect(gapText('publisher-crashed').tone).toBe('broken');
  });

  it.each([
    [1, '1 ms'],
    [999, '999 ms'],
    [34_900, '34 s'],
    [72_000, '1:12'],
    [7_272_000, '2:01:12'],
  ])('of %d ms read %s', (lengthMs, text) => {
    expect(gapLengthText(lengthMs)).toBe(text);
  });
});

describe('an event', () => {
  const event = (type: string, data: TimedEvent['data'] = {}, epoch = 0): TimedEvent => ({
    atMs: 0,
    epoch,
    type,
    data,
  });

  it('is told in one line', () => {
    const source = { sourceName: 'Screen 1', widthPx: 1920, heightPx: 1080, hasAudio: false };
    expect(eventText(event('epoch-started', source))).toBe(
      'Recording began: Screen 1, 1920 × 1080, without sound',
    );
    expect(eventText(event('epoch-started', { ...source, hasAudio: true }, 1))).toBe(
      'Recorder began again: Screen 1, 1920 × 1080, with sound',
    );
    expect(eventText(event('paused', { reason: 'screen-locked' }))).toBe(
      'Paused because the screen was locked',
    );
    expect(eventText(event('screen-locked'))).toBe('Screen locked');
    expect(eventText(event('epoch-ended', { reason: 'suspended' }))).toBe(
      'Recorder ended: the device went to sleep',
    );
    expect(eventText(event('epoch-ended', { reason: 'app-crashed' }))).toBe(
      'Recorder ended: the app crashed',
    );
  });

  it('of a newer app speaks with its own name', () => {
    expect(eventText(event('idle'))).toBe('idle');
    expect(eventText(event('paused', { reason: 'meeting' }))).toBe('Paused meeting');
  });
});

describe('a file that is made', () => {
  const one = { kind: 'mp4', state: 'waiting', progress: 0, failure: null, sizeBytes: null } as const;

  it('says how far it is, and why it is tried again or not', () => {
    expect(derivativeStateText(one)).toBe('Waiting for its turn');
    expect(derivativeStateText({ ...one, state: 'running', progress: 0.419 })).toBe('41 % made');
    expect(derivativeStateText({ ...one, failure: FULL })).toBe(
      'It failed and is tried again by itself: The disk has 3 MB left.',
    );
    expect(derivativeStateText({ ...one, state: 'failed', failure: FULL })).toContain(
      'could not be made: The disk',
    );
    expect(derivativeStateText({ ...one, state: 'done', progress: 1 })).toBe('');
  });
});
