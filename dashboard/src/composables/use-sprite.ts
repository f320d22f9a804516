/** The small pictures along a recording, once they are made. */
import { routePath, type RecordingDetails, type SpriteTiles } from '@proofcast/shared';
import { computed, onScopeDispose, shallowRef, watch, type ComputedRef, type Ref } from 'vue';
import { findTile, type Tile } from '../recording/sprite-tile.ts';
import { useRelay } from './use-services.ts';

export interface Sprite {
  readonly url: string;
  readonly widthPx: number;
  readonly heightPx: number;
  /** The picture that was on the screen at a time of the time line, in milliseconds. */
  tileAt(timeMs: number): Tile | null;
}

export function useSprite(recording: Readonly<Ref<RecordingDetails>>): ComputedRef<Sprite | null> {
  const relay = useRelay();
  const tiles = shallowRef<SpriteTiles | null>(null);
  let abort = new AbortController();
  onScopeDispose(() => abort.abort());

  /** Names what is there: after a recording went on, another one is made. */
  const version = computed(() => {
    const made = recording.value.derivatives.find(({ kind }) => kind === 'sprite');
    const { recordingId, chunkCount } = recording.value;
    return made?.state === 'done' ? `${recordingId}:${chunkCount}:${made.sizeBytes}` : null;
  });

  const load = async (signal: AbortSignal): Promise<void> => {
    const { recordingId } = recording.value;
    try {
      const loaded = await relay.call('recordingSpriteTiles', { params: { recordingId }, signal });
      if (!signal.aborted) tiles.value = loaded;
    } catch {
      // The time line works without pictures.
    }
  };

  watch(
    version,
    (current) => {
      abort.abort();
      abort = new AbortController();
      tiles.value = null;
      if (current !== null) void load(abort.signal);
    },
    { immediate: true },
  );

  return computed(() => {
    const loaded = tiles.value;
    if (loaded === null || version.value === null) return null;
    const { recordingId } = recording.value;
    const path = routePath('recordingDerivative', { recordingId, kind: 'sprite' });
    return {
      url: `${path}?v=${encodeURIComponent(version.value)}`,
      widthPx: loaded.tileWidthPx,
      heightPx: loaded.tileHeightPx,
      tileAt: (timeMs) => findTile(loaded, timeMs),
    };
  });
}
