/** What the state of each path is called, and how it looks: words, colour and shape always together. */
import type { CodedError } from '@proofcast/shared';
import type { RecordingPath } from '../ipc.ts';
import type { LivePath } from './sfu-publisher.ts';
import { sizeText } from './size-text.ts';
import { clockText } from './time-text.ts';

/** Each has a shape and a colour of its own; see StateMark.vue. */
export type Mark = 'idle' | 'busy' | 'good' | 'done' | 'warning' | 'error';

export interface PathText {
  readonly mark: Mark;
  readonly title: string;
  readonly detail: string;
}

export function liveText(path: LivePath, nowMs: number): PathText {
  switch (path.kind) {
    case 'idle':
      return { mark: 'idle', title: 'Off', detail: 'Nothing is sent.' };
    case 'connecting':
      return { mark: 'busy', title: 'Connecting', detail: 'Looking for the live server.' };
    case 'live':
      return { mark: 'good', title: 'Live', detail: realTimeText(path.viewerCount) };
    case 'reconnecting':
      return {
        mark: 'warning',
        title: `Reconnecting for ${clockText(nowMs - path.sinceMs)}`,
        detail: path.reason.message,
      };
    case 'unavailable':
      return {
        mark: 'error',
        title: path.reason.code === 'STREAM_TAKEN' ? 'Taken over' : 'Unavailable',
        detail: path.reason.message,
      };
  }
}

/** `failure`: why there is only silence at the moment. */
export function soundText(name: string, failure: CodedError | null): PathText {
  if (failure) return { mark: 'warning', title: 'Silent', detail: failure.message };
  return { mark: 'good', title: name, detail: 'Goes live and into the recording.' };
}

/** `failure`: why nothing is recorded at the moment, as far as this process knows. */
export function recordingText(path: RecordingPath, failure: CodedError | null, nowMs: number): PathText {
  if (failure && path.kind !== 'failed') return failureText(path, failure);
  switch (path.kind) {
    case 'idle':
      return { mark: 'idle', title: 'Off', detail: 'Nothing is recorded.' };
    case 'connecting':
      return { mark: 'busy', title: 'Connecting', detail: backlogText(path) };
    case 'uploading':
      return { mark: 'good', title: 'Uploading', detail: backlogText(path) };
    case 'reconnecting':
      return {
        mark: 'warning',
        title: `Reconnecting for ${clockText(nowMs - path.sinceMs)}`,
        detail: `${path.reason.message} ${backlogText(path)}`,
      };
    case 'finishing':
      return { mark: 'busy', title: 'Finishing', detail: backlogText(path) };
    case 'finished': {
      // The first chunk says that a recording begins; pictures are in those that follow.
      const isEmpty = path.chunkCount <= 1;
      const detail = isEmpty
        ? 'It ended before there was a picture.'
        : `All ${sizeText(path.durableBytes)} are safe on the server.`;
      return { mark: 'done', title: 'Finished', detail };
    }
    case 'failed':
      return { mark: 'error', title: 'Not accepted', detail: path.reason.message };
  }
}

/** Nothing is captured, and the recording stays open for what comes next. */
export function onHoldText(path: RecordingPath): PathText {
  const detail = path.kind === 'idle' ? 'It goes on with what you choose.' : backlogText(path);
  return { mark: 'warning', title: 'On hold', detail };
}

/** Nothing is recorded; what was recorded before is uploaded all the same. */
function failureText(path: RecordingPath, failure: CodedError): PathText {
  if (failure.code !== 'SPOOL_FULL')
    return { mark: 'error', title: 'Not recording', detail: failure.message };
  const kept = path.kind === 'idle' ? '' : ` ${sizeText(path.backlogBytes)} wait here for the server.`;
  return {
    mark: 'error',
    title: 'Not recording: no room left',
    detail: `This machine can keep no more.${kept} Recording goes on as soon as there is room.`,
  };
}

export function watchersText(count: number): string {
  if (count === 0) return 'Nobody is watching.';
  return count === 1 ? '1 person is watching.' : `${count} people are watching.`;
}

/** Those who watch by this path alone; `watchersText` is about both. */
function realTimeText(count: number): string {
  if (count === 0) return 'Ready. Nobody watches in real time, so nothing is sent.';
  return count === 1 ? '1 person watches in real time.' : `${count} people watch in real time.`;
}

function backlogText({ backlogBytes, durableBytes }: { backlogBytes: number; durableBytes: number }): string {
  const safe = `${sizeText(durableBytes)} safe on the server`;
  return backlogBytes === 0 ? `${safe}.` : `${safe}, ${sizeText(backlogBytes)} kept here until they are.`;
}
