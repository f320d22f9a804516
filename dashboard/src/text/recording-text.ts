/** States of a recording in words, tones and shapes. */
import { fromErrorBody, type Recording, type RecordingState } from '@proofcast/shared';
import { errorText } from './error-text.ts';
import type { Shape, Tone } from './stream-text.ts';

export interface RecordingStateText {
  readonly tone: Tone;
  readonly shape: Shape;
  readonly label: string;
}

const TEXTS: Readonly<Record<RecordingState, RecordingStateText>> = {
  recording: { tone: 'active', shape: 'record', label: 'Recording now' },
  reconnecting: { tone: 'attention', shape: 'half', label: 'Reconnecting' },
  provisional: { tone: 'attention', shape: 'ring', label: 'Waiting for the rest' },
  sealing: { tone: 'attention', shape: 'hourglass', label: 'Sealing' },
  sealed: { tone: 'good', shape: 'square', label: 'Ready' },
  failed: { tone: 'broken', shape: 'triangle', label: 'Failed' },
};

export function recordingStateText(state: RecordingState): RecordingStateText {
  return TEXTS[state];
}

/** Why the recording cannot be played, or why its file could not be made yet; empty when nothing went wrong. */
export function recordingFailureText({ failure }: Pick<Recording, 'failure'>): string {
  if (failure === null) return '';
  // It is the relay that tries again, not the reader.
  if (failure.code === 'INTERNAL') return 'Something failed on the server, which has logged why.';
  return errorText(fromErrorBody({ code: failure.code, message: failure.message }));
}

/** What somebody who plays the recording should know of its state; empty once it is sealed. */
export function recordingStateNote(recording: Pick<Recording, 'state' | 'failure'>): string {
  const failure = recordingFailureText(recording);
  if (failure !== '' && recording.state !== 'failed') {
    return `Its file could not be made yet: ${failure} It is tried again by itself. Nothing is lost, and everything that arrived can be played.`;
  }
  return NOTES[recording.state];
}

const NOTES: Readonly<Record<RecordingState, string>> = {
  recording: 'It is still being made. What had arrived when you opened it can be played.',
  reconnecting:
    'The device has lost its connection and is expected back. What arrived until then can be played.',
  provisional:
    'The device has not come back. Everything that arrived can be played. When the device comes back, what it has kept meanwhile is added to this recording.',
  sealing: 'The device has ended it, and its file is being made. It can be played already.',
  sealed: '',
  failed: '',
};

/** What went wrong, as short as a row of a list; empty when nothing did. */
export function recordingTroubleText(recording: Pick<Recording, 'state' | 'failure'>): string {
  if (recording.state === 'failed' || recording.failure === null) return recordingFailureText(recording);
  return 'Its file could not be made yet; it is tried again';
}

/** `2 gaps`, `No gaps`; empty while nobody knows, and where there is nothing that could have any. */
export function gapCountText({ gapCount, state }: Pick<Recording, 'gapCount' | 'state'>): string {
  if (gapCount === null || state === 'failed') return '';
  if (gapCount === 0) return 'No gaps';
  return gapCount === 1 ? '1 gap' : `${gapCount} gaps`;
}

/** How long it is, or has been so far; null when that is not known. */
export function recordingDurationMs(recording: Recording, nowMs: number): number | null {
  if (recording.durationMs !== null) return recording.durationMs;
  if (recording.state === 'recording') return Math.max(0, nowMs - recording.startedAtMs);
  return recording.endedAtMs === null ? null : Math.max(0, recording.endedAtMs - recording.startedAtMs);
}
