import { CodedError, createId } from '@proofcast/shared';
import { describe, expect, it } from 'vitest';
import type { RecordingPath } from '../ipc.ts';
import { liveText, onHoldText, recordingText, watchersText, type Mark } from './path-text.ts';
import type { LivePath } from './sfu-publisher.ts';

const NOW = 1_790_000_065_000;
const reason = new CodedError('UNAVAILABLE', 'Cannot reach the server.');
const progress = { recordingId: createId('recording'), backlogBytes: 640_000, durableBytes: 3_200_000 };

describe('the words for the live path', () => {
  it.each<[LivePath, Mark, string, string]>([
    [{ kind: 'idle' }, 'idle', 'Off', 'Nothing is sent.'],
    [{ kind: 'connecting' }, 'busy', 'Connecting', 'Looking'],
    [{ kind: 'live', viewerCount: 0 }, 'good', 'Live', 'Nobody watches'],
    [{ kind: 'live', viewerCount: 1 }, 'good', 'Live', '1 person watches'],
    [{ kind: 'live', viewerCount: 2 }, 'good', 'Live', '2 people watch'],
    [
      { kind: 'reconnecting', sinceMs: NOW - 65_000, reason },
      'warning',
      'Reconnecting for 1:05',
      'Cannot reach',
    ],
    [{ kind: 'unavailable', reason }, 'error', 'Unavailable', 'Cannot reach'],
    [
      { kind: 'unavailable', reason: new CodedError('STREAM_TAKEN', 'Another one publishes.') },
      'error',
      'Taken over',
      'Another one',
    ],
  ])('%j', (path, mark, title, detail) => {
    const text = liveText(path, NOW);
    expect(text).toMatchObject({ mark, title });
    expect(text.detail).toContain(detail);
  });
});

describe('the words for the recording path', () => {
  it.each<[RecordingPath, Mark, string, string]>([
    [{ kind: 'idle' }, 'idle', 'Off', 'Nothing is recorded.'],
    [{ kind: 'connecting', ...progress }, 'busy', 'Connecting', '640 kB kept here'],
    [{ kind: 'uploading', ...progress }, 'good', 'Uploading', '3.2 MB safe on the server, 640 kB kept here'],
    [{ kind: 'uploading', ...progress, backlogBytes: 0 }, 'good', 'Uploading', '3.2 MB safe on the server.'],
    [
      { kind: 'reconnecting', ...progress, sinceMs: NOW - 5_000, reason: reason.toBody() },
      'warning',
      'Reconnecting for 0:05',
      'Cannot reach the server. 3.2 MB safe',
    ],
    [{ kind: 'finishing', ...progress }, 'busy', 'Finishing', '640 kB kept here'],
    [{ kind: 'finished', ...progress, chunkCount: 3 }, 'done', 'Finished', 'All 3.2 MB'],
    [{ kind: 'finished', ...progress, chunkCount: 1 }, 'done', 'Finished', 'before there was a picture'],
    [{ kind: 'failed', ...progress, reason: reason.toBody() }, 'error', 'Not accepted', 'Cannot reach'],
  ])('%j', (path, mark, title, detail) => {
    const text = recordingText(path, null, NOW);
    expect(text).toMatchObject({ mark, title });
    expect(text.detail).toContain(detail);
  });

  it('say that nothing is recorded when the recorder has failed, whatever is still being uploaded', () => {
    const failure = new CodedError('SPOOL_FAILED', 'The disk is broken.');
    expect(recordingText({ kind: 'uploading', ...progress }, failure, NOW)).toEqual({
      mark: 'error',
      title: 'Not recording',
      detail: 'The disk is broken.',
    });
  });

  it('[U4] say that there is no room, how much waits, and that it goes on by itself', () => {
    const failure = new CodedError('SPOOL_FULL', 'Cannot keep more.');
    const { mark, title, detail } = recordingText(
      { kind: 'reconnecting', ...progress, sinceMs: NOW, reason: reason.toBody() },
      failure,
      NOW,
    );
    expect({ mark, title }).toEqual({ mark: 'error', title: 'Not recording: no room left' });
    expect(detail).toContain('640 kB wait here');
    expect(detail).toContain('goes on as soon as there is room');
  });
});

describe('the words for a recording whose source is gone', () => {
  it('say that it is on hold, and what is safe', () => {
    expect(onHoldText({ kind: 'uploading', ...progress })).toMatchObject({
      mark: 'warning',
      title: 'On hold',
    });
    expect(onHoldText({ kind: 'uploading', ...progress }).detail).toContain('3.2 MB safe');
    expect(onHoldText({ kind: 'idle' }).detail).toContain('what you choose');
  });
});

describe('the words for those who watch', () => {
  it.each([
    [0, 'Nobody is watching.'],
    [1, '1 person is watching.'],
    [2, '2 people are watching.'],
  ])('%d', (count, text) => {
    expect(watchersText(count)).toBe(text);
  });
});
