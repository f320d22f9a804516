/** States of a stream and of its picture in words, tones and shapes: colour is never the only difference. */
import type { StreamState } from '@proofcast/shared';
import type { PlayerState } from '../player/player.ts';
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

export const PATH_LABELS: Readonly<Record<PathName, string>> = { webrtc: 'WebRTC', relay: 'Relay' };

export function pathHint(path: PathName, delay: Delay | null): string {
  if (path === 'webrtc') {
    const measured = delay
      ? ` ${formatDelay(delay.ms)} of it were measured between the media server and this screen; the way from the device comes on top.`
      : '';
    return `Shown by WebRTC, the quickest path.${measured}`;
  }
  const late = delay ? ` The picture is ${formatDelay(delay.ms)} late.` : '';
  return `Shown through the relay, because WebRTC does not get through at the moment. It is tried again by itself.${late}`;
}

/** A measured part of the delay reads as a minimum, because that is what it is. */
export function delayText(delay: Delay): string {
  return `${delay.isMinimum ? '≥ ' : ''}${formatDelay(delay.ms)}`;
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
  const reasons = [
    player.failures.webrtc && `WebRTC: ${player.failures.webrtc.message}`,
    player.failures.relay && `Relay: ${player.failures.relay.message}`,
  ];
  return {
    isBusy: false,
    title: `No picture for ${formatElapsed(nowMs - player.sinceMs)}`,
    detail: 'Neither path gets through. Both are being tried again.',
    reasons: reasons.filter((reason) => reason !== null),
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
