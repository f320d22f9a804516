/**
 * A recording that grows, held still: what is played stays what it was when it was opened, until somebody asks for
 * what has arrived since. As long as no chunk is added, everything else that is told of it stays fresh.
 */
import type { RecordingDetails } from '@proofcast/shared';
import { computed, shallowRef, watch, type ComputedRef, type Ref, type ShallowRef } from 'vue';
import { planTimeline } from '../recording/timeline.ts';

export interface Snapshot {
  readonly pinned: Readonly<ShallowRef<RecordingDetails | null>>;
  /** By how much the newest is longer than what is pinned; zero when nothing can be shown that is not. */
  readonly newerMs: ComputedRef<number>;
  readonly showNewest: () => void;
}

export function useSnapshot(newest: Readonly<Ref<RecordingDetails | null>>): Snapshot {
  const pinned = shallowRef<RecordingDetails | null>(null);
  watch(
    newest,
    (recording) => {
      if (recording === null || isReplacedBy(pinned.value, recording)) pinned.value = recording;
    },
    { immediate: true },
  );
  return {
    pinned,
    newerMs: computed(() => {
      if (newest.value === null || pinned.value === null) return 0;
      return Math.max(0, filesEndMs(newest.value) - filesEndMs(pinned.value));
    }),
    showNewest: () => {
      pinned.value = newest.value;
    },
  };
}

/** Whether nobody who plays it would notice; or nothing was there to be played. */
function isReplacedBy(pinned: RecordingDetails | null, newest: RecordingDetails): boolean {
  if (pinned === null || pinned.recordingId !== newest.recordingId) return true;
  return pinned.chunkCount === newest.chunkCount || planTimeline(pinned) === null;
}

function filesEndMs(recording: RecordingDetails): number {
  return planTimeline(recording)?.segments.at(-1)?.toMs ?? 0;
}
