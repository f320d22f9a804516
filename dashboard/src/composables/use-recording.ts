/** One recording, looked at again as long as something about it changes. */
import { toCodedError, type Id, type RecordingDetails } from '@proofcast/shared';
import { onScopeDispose, shallowRef, watch, type Ref, type ShallowRef } from 'vue';
import { GROWING_RECORDING_REFRESH_MS, RECORDING_REFRESH_MS } from '../config.ts';
import { useRelay } from './use-services.ts';

export type RecordingLoad =
  | { readonly kind: 'loading' }
  | { readonly kind: 'failed'; readonly error: unknown }
  | { readonly kind: 'loaded'; readonly recording: RecordingDetails };

export function useRecording(recordingId: Ref<Id>): {
  readonly load: Readonly<ShallowRef<RecordingLoad>>;
  /** From the beginning, with what is on the screen gone meanwhile. */
  readonly reload: () => Promise<void>;
  /** Looks whether it is still as it was; what is on the screen stays. */
  readonly look: () => Promise<void>;
} {
  const relay = useRelay();
  const load = shallowRef<RecordingLoad>({ kind: 'loading' });
  let timer: ReturnType<typeof setTimeout> | undefined;
  let generation = 0;

  const look = async (): Promise<void> => {
    clearTimeout(timer);
    generation += 1;
    const mine = generation;
    try {
      const recording = await relay.call('recording', { params: { recordingId: recordingId.value } });
      if (mine !== generation) return;
      load.value = { kind: 'loaded', recording };
      scheduleLook(refreshMs(recording));
    } catch (error) {
      if (mine !== generation) return;
      const isPassing = toCodedError(error).isRetryable;
      if (load.value.kind === 'loaded' && isPassing) scheduleLook(RECORDING_REFRESH_MS);
      else load.value = { kind: 'failed', error };
    }
  };
  const scheduleLook = (afterMs: number | null): void => {
    if (afterMs !== null) timer = setTimeout(() => void look(), afterMs);
  };
  const reload = async (): Promise<void> => {
    load.value = { kind: 'loading' };
    await look();
  };

  watch(recordingId, () => void reload(), { immediate: true });
  onScopeDispose(() => {
    generation += 1;
    clearTimeout(timer);
  });
  return { load, reload, look };
}

/** When to look again; null when nothing changes by itself any more. */
export function refreshMs({
  state,
  derivatives,
}: Pick<RecordingDetails, 'state' | 'derivatives'>): number | null {
  if (state === 'sealing') return RECORDING_REFRESH_MS;
  if (derivatives.some((derivative) => derivative.state === 'waiting' || derivative.state === 'running')) {
    return RECORDING_REFRESH_MS;
  }
  return state === 'sealed' || state === 'failed' ? null : GROWING_RECORDING_REFRESH_MS;
}
