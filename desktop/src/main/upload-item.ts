/** How far the upload of one recording is, as the page shows it. */
import type { UploadItem } from '../ipc.ts';
import type { QueuedUpload } from './upload-queue.ts';

export function describeUpload(upload: QueuedUpload): UploadItem {
  const { start, source, backlogBytes } = upload.recording;
  return {
    recordingId: start.recordingId,
    sourceName: source.name,
    startedAtMs: Math.floor(start.startedAtUs / 1000),
    backlogBytes,
    state: describeState(upload),
  };
}

function describeState({ recording, state }: QueuedUpload): UploadItem['state'] {
  switch (state.kind) {
    case 'waiting':
      return { kind: 'pending' };
    case 'connecting':
      return { kind: 'pending' };
    case 'parked':
      return { kind: 'interrupted' };
    case 'uploading':
    case 'finishing': {
      const isSent = recording.durableCount === recording.appendedCount;
      // The server has all of it and puts it in order.
      if (isSent && recording.chunkCount !== null) return { kind: 'processing' };
      const { durableBytes, backlogBytes } = recording;
      const totalBytes = durableBytes + backlogBytes;
      // What an earlier run has uploaded is not counted: this is about what was left.
      return {
        kind: 'uploading',
        percent: totalBytes === 0 ? 0 : Math.floor((100 * durableBytes) / totalBytes),
      };
    }
    case 'reconnecting':
      return { kind: 'waiting', reason: state.reason.toBody() };
    case 'finished':
      return { kind: 'done' };
    case 'failed':
      return { kind: 'refused', reason: state.reason.toBody() };
  }
}
