/** Why a recording has no picture for a while, in words and tones. */
import type { GapReason } from '@proofcast/shared';
import type { Tone } from './stream-text.ts';
import { formatDuration } from './time-text.ts';

export interface GapText {
  /** Chosen by somebody, to be looked at, or something went wrong: the colour and the pattern. */
  readonly tone: Extract<Tone, 'quiet' | 'attention' | 'broken'>;
  readonly label: string;
  readonly explanation: string;
}

const TEXTS: Readonly<Record<GapReason, GapText>> = {
  paused: { tone: 'quiet', label: 'Paused', explanation: 'The person who shares paused it.' },
  policy: {
    tone: 'quiet',
    label: 'Kept back by policy',
    explanation: 'A policy of the company forbids recording at this time or place.',
  },
  'screen-locked': {
    tone: 'quiet',
    label: 'Screen locked',
    explanation: 'The screen of the device was locked.',
  },
  'source-changed': {
    tone: 'attention',
    label: 'Source changed',
    explanation: 'Another screen or window was chosen, or the shared one was closed.',
  },
  'recorder-restarted': {
    tone: 'attention',
    label: 'Recorder restarted',
    explanation: 'The recorder of the app had to be started again.',
  },
  suspended: {
    tone: 'quiet',
    label: 'Device asleep',
    explanation: 'The device slept.',
  },
  'capture-stalled': {
    tone: 'broken',
    label: 'Capture stalled',
    explanation: 'The recorder ran, but the system delivered no picture.',
  },
  'spool-full': {
    tone: 'broken',
    label: 'Disk of the device full',
    explanation: 'The device could neither send nor keep any more.',
  },
  'publisher-crashed': {
    tone: 'broken',
    label: 'App ended unexpectedly',
    explanation: 'The app or the device stopped without saying why, and went on later.',
  },
  'publisher-offline': {
    tone: 'broken',
    label: 'Device did not come back',
    explanation: 'The device lost its connection. What it has kept meanwhile is missing until it comes back.',
  },
  'no-data': {
    tone: 'broken',
    label: 'No picture came',
    explanation:
      'Nothing was captured, and the app did not say why. The device may have slept, or stood still.',
  },
  unknown: { tone: 'broken', label: 'Reason unknown', explanation: 'The device gave no reason.' },
};

export function gapText(reason: GapReason): GapText {
  return TEXTS[reason];
}

/** How long a gap is, to the second and below: `340 ms`, `34 s`, `1:12`. */
export function gapLengthText(lengthMs: number): string {
  if (lengthMs < 1_000) return `${Math.round(lengthMs)} ms`;
  return lengthMs < 60_000 ? `${Math.floor(lengthMs / 1000)} s` : formatDuration(lengthMs);
}
