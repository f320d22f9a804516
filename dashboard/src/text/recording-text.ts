/** States of a recording in words, tones and shapes. */
import type { Recording, RecordingState } from '@proofcast/shared';
import type { Shape, Tone } from './stream-text.ts';

export interface RecordingStateText {
  readonly tone: Tone;
  readonly shape: Shape;
  readonly label: string;
}

const TEXTS: Readonly<Record<RecordingState, RecordingStateText>> = {
  recording: { tone: 'active', shape: 'record', label: 'Recording now' },
  reconnecting: { tone: 'attention', shape: 'half', label: 'Reconnecting' },
  sealing: { tone: 'attention', shape: 'hourglass', label: 'Sealing' },
  sealed: { tone: 'good', shape: 'square', label: 'Ready' },
  failed: { tone: 'broken', shape: 'triangle', label: 'Failed' },
};

export function recordingStateText(state: RecordingState): RecordingStateText {
  return TEXTS[state];
}

/** How long it is, or has been so far; null when that is not known. */
export function recordingDurationMs(recording: Recording, nowMs: number): number | null {
  if (recording.durationMs !== null) return recording.durationMs;
  if (recording.state === 'recording') return Math.max(0, nowMs - recording.startedAtMs);
  return recording.endedAtMs === null ? null : Math.max(0, recording.endedAtMs - recording.startedAtMs);
}
