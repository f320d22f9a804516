/** States of a stream and of its picture in words, tones and shapes: colour is never the only difference. */
import type { StreamState } from '@proofcast/shared';
import type { PlayerState } from '../player/player.ts';
import type { RewindView } from '../player/stream-player.ts';
import type { Delay, PathName } from '../player/video-path.ts';
import { formatDelay, formatElapsed } from './time-text.ts';

export type Tone = 'good' | 'attention' | 'broken' | 'quiet' | 'active';
export type Shape = 'dot' | 'half' | 'triangle' | 'ring' | 'record' | 'square' | 'hourglass';

export interface StateText {
  readonly tone: Tone;
  readonly shape: Shape;
  readonly label: string;
  /** When it began; null when that is not known. */
  readonly sinceMs: number | null;
}

const STATES: Readonly<Record<StreamState['kind'], Omit<StateText, 'sinceMs'>>> = {
  live: { tone: 'good', shape: 'dot', label: 'Live' },
  reconnecting: { tone: 'attention', shape: 'half', label: 'Reconnecting' },
  'capture-stalled': { tone: 'broken', shape: 'triangle', label: 'Capture broken' },
  offline: { tone: 'quiet', shape: 'ring', label: 'Offline' },
};

export function streamStateText({ kind, sinceMs }: StreamState): StateText {
  if (sinceMs === null) return { ...STATES[kind], label: 'Never live', sinceMs };
  return { ...STATES[kind], sinceMs };
}

export const PATH_LABELS: Readonly<Record<PathName, string>> = {
  webrtc: 'WebRTC',
  relay: 'Relay',
  http: 'Relay, HTTP',
  stills: 'Stills',
};

export function pathHint(path: PathName, delay: Delay | null): string {
  if (path === 'webrtc') {
    return `Shown by WebRTC, the quickest path.${delay ? webRtcDelayHint(delay) : ''}`;
  }
  const late = delay ? ` The picture is ${formatDelay(delay.ms)} late.` : '';
  return `${PATH_REASONS[path]}${late}`;
}

function webRtcDelayHint({ ms, isMinimum }: Delay): string {
  return isMinimum
    ? ` ${formatDelay(ms)} of it were measured between the media server and this screen; the way from the device comes on top.`
    : ` The picture is about ${formatDelay(ms)} late.`;
}

const PATH_REASONS: Readonly<Record<Exclude<PathName, 'webrtc'>, string>> = {
  relay:
    'Shown through the relay, because WebRTC does not get through at the moment. It is tried again by itself.',
  http: 'Shown through the relay by plain HTTP, because neither WebRTC nor websockets get through at the moment. They are tried again by themselves.',
  stills:
    'A still picture every few seconds, because nothing that moves gets through at the moment. Better ways are tried again by themselves.',
};

/** A measured part of the delay reads as a minimum, because that is what it is. */
export function delayText(delay: Delay): string {
  return `${delay.isMinimum ? '≥ ' : ''}${formatDelay(delay.ms)}`;
}

/** What is said of the past that is shown instead of the live picture. */
export function pastHint(view: RewindView, delay: Delay | null): string {
  if (view.kind === 'loading') return 'The relay is asked for the recording of that moment.';
  const ago = delay ? ` What you see was captured ${formatDelay(delay.ms)} ago.` : '';
  return `Shown from the recording, through the relay; the live picture goes on behind it.${ago}`;
}

/** The age of a still picture is no lateness: it is meant to be seconds old. */
export function pathDelayText(path: PathName, delay: Delay): string {
  return path === 'stills' ? `${formatDelay(delay.ms)} old` : delayText(delay);
}

export interface PictureText {
  readonly isBusy: boolean;
  readonly title: string;
  readonly detail: string;
  /** What each path said; for where there is room. */
  readonly reasons: readonly string[];
}

/** What stands where a picture should be; null while there is one. */
export function pictureText(
  stream: StreamState,
  player: PlayerState<unknown>,
  nowMs: number,
): PictureText | null {
  if (player.kind === 'playing') return null;
  if (player.kind === 'connecting') return player.isLost ? RECONNECTING : CONNECTING;
  if (player.kind === 'idle') return idleText(stream, nowMs);
  return {
    isBusy: false,
    title: `No picture for ${formatElapsed(nowMs - player.sinceMs)}`,
    detail: 'No way gets through. All of them are being tried again.',
    reasons: player.failures.map(({ path, error }) => `${PATH_LABELS[path]}: ${error.message}`),
  };
}

const RECONNECTING: PictureText = {
  isBusy: true,
  title: 'Picture lost',
  detail: 'Looking for the quickest way back.',
  reasons: [],
};
const CONNECTING: PictureText = { isBusy: true, title: 'Connecting', detail: '', reasons: [] };

function idleText(stream: StreamState, nowMs: number): PictureText {
  if (stream.kind !== 'offline') return CONNECTING;
  return stream.sinceMs === null
    ? {
        isBusy: false,
        title: 'Not shared yet',
        detail: 'This device has never shared its screen.',
        reasons: [],
      }
    : {
        isBusy: false,
        title: 'Offline',
        detail: `for ${formatElapsed(nowMs - stream.sinceMs)}`,
        reasons: [],
      };
}
