/** One stream's player for a component: acquired while it is wanted, mounted where the component says. */
import type { Id } from '@proofcast/shared';
import { shallowRef, watch, type Ref, type ShallowRef } from 'vue';
import type { PlayerState } from '../player/player.ts';
import type { StagedPath, StreamPlayer } from '../player/stream-player.ts';
import type { Delay } from '../player/video-path.ts';
import { useElementSize } from './use-element-size.ts';
import { usePageVisible } from './use-page-visible.ts';
import { useLive } from './use-services.ts';

const DELAY_READ_MS = 1_000;

export interface UsedPlayer {
  /** Null while it is not wanted. */
  readonly player: Readonly<ShallowRef<StreamPlayer | null>>;
  readonly state: Readonly<ShallowRef<PlayerState<StagedPath>>>;
  readonly delay: Readonly<ShallowRef<Delay | null>>;
}

export function usePlayer(options: {
  streamId: Ref<Id>;
  isWanted: Ref<boolean>;
  host: Ref<HTMLElement | null>;
  /** Shown alone and large. */
  isFocus?: boolean;
  isHeard?: Ref<boolean>;
}): UsedPlayer {
  const { players } = useLive();
  const size = useElementSize(options.host);
  const isPageVisible = usePageVisible();
  const player = shallowRef<StreamPlayer | null>(null);
  const state = shallowRef<PlayerState<StagedPath>>({ kind: 'idle' });
  const delay = shallowRef<Delay | null>(null);

  watch(
    [options.streamId, options.isWanted, options.host],
    ([streamId, isWanted, host], _previous, onCleanup) => {
      if (!isWanted || !host) return;
      const acquired = players.acquire(streamId);
      host.append(acquired.stage.element);
      acquired.stage.resume();
      player.value = acquired;
      const stopState = watch(acquired.state, (next) => (state.value = next), {
        immediate: true,
        flush: 'sync',
      });
      const stopDelay = followDelay(acquired, delay);
      onCleanup(() => {
        stopState();
        stopDelay();
        // Another view may have adopted it already.
        if (acquired.stage.element.parentElement === host) {
          acquired.stage.element.remove();
          acquired.setPreference({ isVisible: false, widthPx: 0, isFocus: false, isHeard: false });
        }
        players.release(streamId);
        player.value = null;
        state.value = { kind: 'idle' };
        delay.value = null;
      });
    },
    { immediate: true, flush: 'post' },
  );
  watch(
    [player, () => size.width, isPageVisible, () => options.isHeard?.value ?? false],
    ([current, widthCssPx, isVisible, isHeard]) => {
      const widthPx = Math.round(widthCssPx * devicePixelRatio);
      current?.setPreference({ isVisible, widthPx, isFocus: options.isFocus ?? false, isHeard });
    },
    { flush: 'sync' },
  );
  return { player, state, delay };
}

function followDelay(player: StreamPlayer, delay: ShallowRef<Delay | null>): () => void {
  const read = (): void => {
    delay.value = player.readDelay();
  };
  read();
  const stopWatching = watch([player.state, player.rewind], read);
  const timer = setInterval(read, DELAY_READ_MS);
  return () => {
    stopWatching();
    clearInterval(timer);
  };
}
