/**
 * Looking back in the recording of a stream while it is being made, for a component that shows its player. Moments are
 * milliseconds of the relay's clock.
 */
import type { Gap, Id, StreamView } from '@proofcast/shared';
import {
  computed,
  onScopeDispose,
  shallowRef,
  watch,
  type ComputedRef,
  type Ref,
  type ShallowRef,
} from 'vue';
import { REWIND_LIMITS } from '../config.ts';
import type { RewindView, StreamPlayer } from '../player/stream-player.ts';
import { useNow } from './use-now.ts';
import { useRelay, useSession } from './use-services.ts';

export interface RewindRange {
  /** The beginning of what can be looked back at. */
  readonly fromMs: number;
  /** Now. */
  readonly toMs: number;
  readonly gaps: readonly Gap[];
}

export interface UsedRewind {
  readonly view: Readonly<ShallowRef<RewindView>>;
  /** Null while there is nothing to look back at. */
  readonly range: ComputedRef<RewindRange | null>;
  lookBack(momentMs: number): void;
  /** From what is shown; forward to the live picture at most. */
  step(durationMs: number): void;
  togglePause(): void;
  goLive(): void;
}

const OFF: RewindView = { kind: 'off', error: null };

export function useRewind(options: {
  stream: Readonly<Ref<StreamView | undefined>>;
  player: Readonly<ShallowRef<StreamPlayer | null>>;
}): UsedRewind {
  const view = shallowRef<RewindView>(OFF);
  const nowMs = useNow();
  const recording = useBeginning(computed(() => options.stream.value?.recordingId ?? null));

  watch(
    options.player,
    (player, _previous, onCleanup) => {
      view.value = OFF;
      if (!player) return;
      const stop = watch(player.rewind, (next) => (view.value = next), { flush: 'sync' });
      onCleanup(() => {
        stop();
        player.goLive();
      });
    },
    { immediate: true, flush: 'sync' },
  );
  onScopeDispose(() => options.player.value?.goLive());

  let known: RewindRange | null = null;
  const range = computed<RewindRange | null>(() => {
    // Read in any case, so that the end of the range goes on with the time.
    const pageNowMs = nowMs.value;
    const stream = options.stream.value;
    const player = options.player.value;
    if (!stream?.recordingId || !player || stream.state.sinceMs === null) {
      // Somebody who is looking back when the recording ends still has the way back.
      return view.value.kind === 'off' ? null : known;
    }
    const toMs = player.relayNowMs() ?? pageNowMs;
    const fromMs = Math.min(recording.value?.startedAtMs ?? stream.state.sinceMs, toMs);
    if (toMs - fromMs < REWIND_LIMITS.minBehindMs) return null;
    known = { fromMs, toMs, gaps: recording.value?.gaps ?? [] };
    return known;
  });

  function lookBack(momentMs: number): void {
    if (range.value) options.player.value?.lookBack(Math.max(range.value.fromMs, momentMs));
  }

  return {
    view,
    range,
    lookBack,
    step: (durationMs) => {
      if (!range.value || (view.value.kind === 'off' && durationMs > 0)) return;
      const fromMs = view.value.kind === 'off' ? range.value.toMs : view.value.momentMs;
      lookBack(fromMs + durationMs);
    },
    togglePause: () => options.player.value?.togglePause(),
    goLive: () => options.player.value?.goLive(),
  };
}

/** When the recording began and where it has no picture, for those who may know. */
function useBeginning(recordingId: Ref<Id | null>): ShallowRef<Beginning | null> {
  const relay = useRelay();
  const session = useSession();
  const beginning = shallowRef<Beginning | null>(null);
  watch(
    recordingId,
    async (wanted) => {
      beginning.value = null;
      if (wanted === null || !session.may('recordings:read')) return;
      try {
        const { startedAtMs, gaps } = await relay.call('recording', { params: { recordingId: wanted } });
        if (recordingId.value === wanted) beginning.value = { startedAtMs, gaps };
      } catch {
        // Then only what has come since the stream is live can be looked back at.
      }
    },
    { immediate: true },
  );
  return beginning;
}

interface Beginning {
  readonly startedAtMs: number;
  readonly gaps: readonly Gap[];
}
