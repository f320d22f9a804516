/** One stream's player for a component: acquired while it is wanted, mounted where the component says. */
import type { Id } from '@proofcast/shared';
import { shallowRef, watch, type Ref, type ShallowRef } from 'vue';
import type { PlayerState } from '../player/player.ts';
import type { StagedPath, StreamPlayer } from '../player/stream-player.ts';
import type { Delay } from '../player/video-path.ts';
import { useLive } from './use-services.ts';

const DELAY_READ_MS = 1_000;

export interface UsedPlayer {
  readonly state: Readonly<ShallowRef<PlayerState<StagedPath>>>;
  readonly delay: Readonly<ShallowRef<Delay | null>>;
}

export function usePlayer(options: {
  streamId: Ref<Id>;
  isWanted: Ref<boolean>;
  host: Ref<HTMLElement | null>;
}): UsedPlayer {
  const { players } = useLive();
  const state = shallowRef<PlayerState<StagedPath>>({ kind: 'idle' });
  const delay = shallowRef<Delay | null>(null);

  watch(
    [options.streamId, options.isWanted, options.host],
    ([streamId, isWanted, host], _previous, onCleanup) => {
      if (!isWanted || !host) return;
      const player = players.acquire(streamId);
      host.append(player.stage.element);
      player.stage.resume();
      const stopState = watch(player.state, (next) => (state.value = next), {
        immediate: true,
        flush: 'sync',
      });
      const stopDelay = followDelay(player, delay);
      onCleanup(() => {
        stopState();
        stopDelay();
        // Another view may have adopted it already.
        if (player.stage.element.parentElement === host) player.stage.element.remove();
        players.release(streamId);
        state.value = { kind: 'idle' };
        delay.value = null;
      });
    },
    { immediate: true, flush: 'post' },
  );
  return { state, delay };
}

function followDelay(player: StreamPlayer, delay: ShallowRef<Delay | null>): () => void {
  const read = (): void => {
    delay.value = player.readDelay();
  };
  const stopWatching = watch(player.state, read);
  const timer = setInterval(read, DELAY_READ_MS);
  return () => {
    stopWatching();
    clearInterval(timer);
  };
}
