import type { Derivative, RecordingState } from '@proofcast/shared';
import { expect, it } from 'vitest';
import { GROWING_RECORDING_REFRESH_MS, RECORDING_REFRESH_MS } from '../config.ts';
import { refreshMs } from './use-recording.ts';

const made = (state: Derivative['state']): Derivative => ({
  kind: 'mp4',
  state,
  progress: 0,
  failure: null,
  sizeBytes: null,
});

it.each<[RecordingState, Derivative['state'][], number | null]>([
  ['recording', [], GROWING_RECORDING_REFRESH_MS],
  ['reconnecting', [], GROWING_RECORDING_REFRESH_MS],
  ['provisional', ['done'], GROWING_RECORDING_REFRESH_MS],
  ['sealing', [], RECORDING_REFRESH_MS],
  ['sealed', ['done', 'failed'], null],
  ['sealed', ['done', 'running'], RECORDING_REFRESH_MS],
  ['provisional', ['waiting'], RECORDING_REFRESH_MS],
  ['failed', [], null],
])(
  'a recording that is %s, with what is made of it %j, is looked at again after %s ms',
  (state, states, ms) => {
    expect(refreshMs({ state, derivatives: states.map(made) })).toBe(ms);
  },
);
