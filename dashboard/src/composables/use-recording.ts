/** One recording, looked at again until it is sealed or has failed. */
import { toCodedError, type Id, type Recording } from '@proofcast/shared';
import { onScopeDispose, shallowRef, watch, type Ref, type ShallowRef } from 'vue';
import { RECORDING_REFRESH_MS } from '../config.ts';
import { useRelay } from './use-services.ts';

export type RecordingLoad =
  | { readonly kind: 'loading' }
  | { readonly kind: 'failed'; readonly error: unknown }
  | { readonly kind: 'loaded'; readonly recording: Recording };

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
      if (recording.state !== 'sealed' && recording.state !== 'failed') scheduleLook();
    } catch (error) {
      if (mine !== generation) return;
      const isPassing = toCodedError(error).isRetryable;
      if (load.value.kind === 'loaded' && isPassing) scheduleLook();
      else load.value = { kind: 'failed', error };
    }
  };
  const scheduleLook = (): void => {
    timer = setTimeout(() => void look(), RECORDING_REFRESH_MS);
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
