/**
 * Plays a recording along its one time line with one media element: goes from file to file, jumps over gaps, and stays
 * where it is when the same recording is served from elsewhere. Times are milliseconds on the time line.
 */
import {
  computed,
  onScopeDispose,
  ref,
  shallowRef,
  watch,
  type ComputedRef,
  type Ref,
  type ShallowRef,
} from 'vue';
import { LAST_PICTURE_MS, MIN_SKIPPED_GAP_MS, SKIP_NOTICE_MS } from '../config.ts';
import { filePlaceAt, gapAt, type PlacedGap, type Segment, type Timeline } from '../recording/timeline.ts';
import { usePlayback, type Playback } from './use-playback.ts';

/** The file does not have the first picture at exactly the millisecond of the gap's end. */
const BEHIND_GAP_MS = 1;

export interface TimelinePlaybackOptions {
  readonly video: Ref<HTMLVideoElement | null>;
  readonly timeline: Readonly<Ref<Timeline>>;
  readonly urlOf: (segment: Segment) => string;
}

export interface TimelinePlayback {
  readonly playback: Playback;
  /** For the `src` of the element. */
  readonly source: ComputedRef<string>;
  readonly segment: ComputedRef<Segment>;
  readonly positionMs: ComputedRef<number>;
  readonly buffered: ComputedRef<readonly { readonly fromMs: number; readonly toMs: number }[]>;
  /** In which the position lies. */
  readonly gap: ComputedRef<PlacedGap | null>;
  /** Which was jumped over a moment ago. */
  readonly skipped: Readonly<ShallowRef<PlacedGap | null>>;
  readonly isSkippingGaps: Ref<boolean>;
  toggle(): void;
  goTo(timeMs: number): void;
  goBy(durationMs: number): void;
  setRate(rate: number): void;
  stepRate(direction: 1 | -1): void;
  /** The same file again, after it could not be loaded. */
  retry(): void;
  /** For the events `loadedmetadata` and `ended` of the element. */
  onLoaded(): void;
  onEnded(): void;
}

export function useTimelinePlayback({ video, timeline, urlOf }: TimelinePlaybackOptions): TimelinePlayback {
  const { playback, play, pause, seekTo, setRate, stepRate } = usePlayback(video);
  const index = ref(0);
  /** Where to go, and whether to play there, as soon as the element knows its file. */
  const pending = shallowRef<{ readonly fileMs: number; readonly isPlaying: boolean } | null>(null);
  const skipped = shallowRef<PlacedGap | null>(null);
  const isSkippingGaps = ref(true);
  let noticeTimer: ReturnType<typeof setTimeout> | undefined;
  onScopeDispose(() => clearTimeout(noticeTimer));

  const segment = computed(() => timeline.value.segments[index.value] ?? timeline.value.segments[0]);
  const source = computed(() => urlOf(segment.value));
  const positionMs = computed(
    () => segment.value.fromMs + (pending.value?.fileMs ?? playback.currentS * 1000),
  );
  const gap = computed(() => gapAt(timeline.value, positionMs.value));
  const buffered = computed(() =>
    pending.value === null
      ? playback.buffered.map(({ start, end }) => ({
          fromMs: segment.value.fromMs + start * 1000,
          toMs: segment.value.fromMs + end * 1000,
        }))
      : [],
  );

  const goTo = (timeMs: number): void => {
    const place = filePlaceAt(timeline.value, timeMs);
    const isPlaying = pending.value?.isPlaying ?? playback.isPlaying;
    if (place.index === index.value && pending.value === null && playback.durationS > 0) {
      seekTo(place.fileMs / 1000);
      return;
    }
    pending.value = { fileMs: place.fileMs, isPlaying };
    index.value = place.index;
  };
  const retry = (): void => {
    pending.value ??= { fileMs: playback.currentS * 1000, isPlaying: false };
    video.value?.load();
  };

  // Another file of the same recording: a later snapshot, the convenience copy, or its file in place of its journal.
  watch(
    timeline,
    (next, previous) => {
      const { fromMs } = previous.segments[index.value] ?? previous.segments[0];
      const timeMs = fromMs + (pending.value?.fileMs ?? playback.currentS * 1000);
      const place = filePlaceAt(next, timeMs);
      const urlBefore = source.value;
      const isPlaying = pending.value?.isPlaying ?? playback.isPlaying;
      index.value = place.index;
      if (urlOf(segment.value) !== urlBefore) pending.value = { fileMs: place.fileMs, isPlaying };
    },
    { flush: 'sync' },
  );

  watch([positionMs, () => playback.isPlaying], () => {
    const current = gap.value;
    if (current === null || !isSkippingGaps.value || !playback.isPlaying || pending.value !== null) return;
    if (current.toMs - current.fromMs < MIN_SKIPPED_GAP_MS) return;
    if (positionMs.value < current.fromMs + LAST_PICTURE_MS) return;
    const lastMs = timeline.value.segments.at(-1)?.toMs ?? 0;
    // Behind the last picture there is nowhere to go.
    if (current.toMs >= lastMs) return;
    announce(current);
    goTo(current.toMs + BEHIND_GAP_MS);
  });

  const announce = (passed: PlacedGap): void => {
    skipped.value = passed;
    clearTimeout(noticeTimer);
    noticeTimer = setTimeout(() => {
      skipped.value = null;
    }, SKIP_NOTICE_MS);
  };

  return {
    playback,
    source,
    segment,
    positionMs,
    buffered,
    gap,
    skipped,
    isSkippingGaps,
    goTo,
    goBy: (durationMs) => goTo(positionMs.value + durationMs),
    setRate,
    stepRate,
    retry,
    toggle: () => {
      if (pending.value !== null) pending.value = { ...pending.value, isPlaying: !pending.value.isPlaying };
      else if (playback.isPlaying) pause();
      else if (playback.hasEnded && index.value > 0) {
        goTo(0);
        pending.value = { fileMs: 0, isPlaying: true };
      } else play();
    },
    onLoaded: () => {
      const target = pending.value;
      if (target === null) return;
      seekTo(target.fileMs / 1000);
      pending.value = null;
      if (target.isPlaying) play();
    },
    onEnded: () => {
      const next = timeline.value.segments[index.value + 1];
      if (next === undefined) return;
      const passed = gapAt(timeline.value, next.fromMs - 1);
      if (passed !== null) announce(passed);
      index.value += 1;
      pending.value = { fileMs: 0, isPlaying: true };
    },
  };
}
