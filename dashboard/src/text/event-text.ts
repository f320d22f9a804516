/** Events of a recording in words. */
import type { TimedEvent } from '@proofcast/shared';

const END_REASONS: Readonly<Record<string, string>> = {
  stopped: 'sharing was stopped',
  'source-ended': 'what was shared was closed',
  'source-changed': 'another source was chosen',
  'recorder-failed': 'the recorder failed',
  'recorder-restarted': 'the recorder was started again',
  suspended: 'the device went to sleep',
  'spool-full': 'the disk of the device is full',
  'page-crashed': 'the window of the app crashed',
  'app-crashed': 'the app crashed',
};

const PAUSE_REASONS: Readonly<Record<string, string>> = {
  person: 'by the person',
  policy: 'by a policy of the company',
  'screen-locked': 'because the screen was locked',
};

/** One line: what happened. An event of a newer app speaks with its own name. */
export function eventText({ type, data, epoch }: TimedEvent): string {
  const reason = String(data['reason'] ?? '');
  switch (type) {
    case 'epoch-started':
      return `${epoch === 0 ? 'Recording began' : 'Recorder began again'}: ${sourceOf(data)}`;
    case 'epoch-ended':
      return `Recorder ended: ${END_REASONS[reason] ?? reason}`;
    case 'capture-stalled':
      return 'Capture stalled: no picture from the system';
    case 'capture-resumed':
      return 'Capture goes on';
    case 'paused':
      return `Paused ${PAUSE_REASONS[reason] ?? reason}`.trimEnd();
    case 'resumed':
      return 'Goes on after a pause';
    case 'screen-locked':
      return 'Screen locked';
    case 'screen-unlocked':
      return 'Screen unlocked';
    case 'spool-full':
      return 'Disk of the device full: no more can be kept there';
    default:
      return type;
  }
}

function sourceOf(data: TimedEvent['data']): string {
  const name = String(data['sourceName'] ?? '') || 'unnamed source';
  const sound = data['hasAudio'] === true ? 'with sound' : 'without sound';
  return `${name}, ${String(data['widthPx'])} × ${String(data['heightPx'])}, ${sound}`;
}
