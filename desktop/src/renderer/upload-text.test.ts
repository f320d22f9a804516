import { createId } from '@proofcast/shared';
import { describe, expect, it } from 'vitest';
import type { UploadItem } from '../ipc.ts';
import type { Mark } from './path-text.ts';
import { uploadText } from './upload-text.ts';

const reason = { code: 'RECORDING_SEALED', message: 'The recording has ended.' };

describe('the words for the upload of an earlier recording', () => {
  it.each<[UploadItem['state'], Mark, string, string]>([
    [{ kind: 'pending' }, 'idle', 'Pending', '640 kB wait'],
    [{ kind: 'uploading', percent: 42 }, 'busy', 'Uploading 42 %', '640 kB left'],
    [{ kind: 'processing' }, 'busy', 'Processing', 'on the server'],
    [{ kind: 'done' }, 'done', 'Done', 'Safe'],
    [{ kind: 'waiting', reason }, 'warning', 'Waiting', 'has ended. 640 kB left'],
    [{ kind: 'interrupted' }, 'warning', 'Interrupted', 'safe on the server'],
    [{ kind: 'refused', reason }, 'error', 'Refused', 'has ended. 640 kB are kept'],
  ])('%j', (state, mark, title, detail) => {
    const text = uploadText({
      recordingId: createId('recording'),
      sourceName: 'Entire screen',
      startedAtMs: 1,
      backlogBytes: 640_000,
      state,
    });
    expect(text).toMatchObject({ mark, title });
    expect(text.detail).toContain(detail);
  });
});
