/** A media element of a recording as reactive state, and what the controls do with it. */
import { onScopeDispose, reactive, watch, type Ref } from 'vue';
import { PLAYBACK_RATES } from '../config.ts';

export interface Playback {
  readonly isPlaying: boolean;
  readonly isWaiting: boolean;
  readonly hasEnded: boolean;
  readonly currentS: number;
  /** Zero until the element knows it. */
  readonly durationS: number;
  readonly rate: number;
  readonly buffered: readonly { readonly start: number; readonly end: number }[];
  /** The element gave up; MediaError.message, or an empty text. */
  readonly failure: string | null;
}

export interface PlaybackControls {
  readonly playback: Playback;
  readonly play: () => void;
  readonly pause: () => void;
  /** Within the file; nothing happens before the element knows it. */
  readonly seekTo: (seconds: number) => void;
  readonly setRate: (rate: number) => void;
  /** To the next faster (1) or slower (-1) of the offered rates. */
  readonly stepRate: (direction: 1 | -1) => void;
}

const EVENTS = [
  'loadedmetadata',
  'durationchange',
  'play',
  'playing',
  'pause',
  'ended',
  'waiting',
  'seeking',
  'seeked',
  'canplay',
  'timeupdate',
  'progress',
  'ratechange',
  'emptied',
  'error',
] as const;

export function usePlayback(video: Ref<HTMLVideoElement | null>): PlaybackControls {
  const playback = reactive({
    isPlaying: false,
    isWaiting: false,
    hasEnded: false,
    currentS: 0,
    durationS: 0,
    rate: 1,
    buffered: [] as { start: number; end: number }[],
    failure: null as string | null,
  });
  let frame = 0;

  const read = (): void => {
    const element = video.value;
    if (!element) return;
    playback.isPlaying = !element.paused && !element.ended;
    playback.isWaiting = element.readyState < HTMLMediaElement.HAVE_FUTURE_DATA && !element.ended;
    playback.hasEnded = element.ended;
    playback.currentS = element.currentTime;
    playback.durationS = Number.isFinite(element.duration) ? element.duration : 0;
    playback.rate = element.playbackRate;
    playback.buffered = Array.from({ length: element.buffered.length }, (_, index) => ({
      start: element.buffered.start(index),
      end: element.buffered.end(index),
    }));
    playback.failure = element.error ? element.error.message : null;
  };
  /** `timeupdate` comes four times a second; the playhead should glide. */
  const glide = (): void => {
    const element = video.value;
    if (element && !element.paused) playback.currentS = element.currentTime;
    frame = requestAnimationFrame(glide);
  };

  watch(
    video,
    (element, _previous, onCleanup) => {
      if (!element) return;
      for (const event of EVENTS) element.addEventListener(event, read);
      frame = requestAnimationFrame(glide);
      read();
      onCleanup(() => {
        cancelAnimationFrame(frame);
        for (const event of EVENTS) element.removeEventListener(event, read);
        // Removing the element from the page alone does not end its download.
        element.removeAttribute('src');
        element.load();
      });
    },
    { immediate: true, flush: 'post' },
  );
  onScopeDispose(() => cancelAnimationFrame(frame));

  const seekTo = (seconds: number): void => {
    const element = video.value;
    if (!element || element.readyState === HTMLMediaElement.HAVE_NOTHING) return;
    const endS = Number.isFinite(element.duration) ? element.duration : seconds;
    element.currentTime = Math.min(Math.max(0, seconds), endS);
    playback.currentS = element.currentTime;
  };
  const setRate = (rate: number): void => {
    const element = video.value;
    if (!element) return;
    // The element goes back to its default whenever it gets another file.
    element.defaultPlaybackRate = rate;
    element.playbackRate = rate;
  };

  return {
    playback: playback,
    // What stops it from playing arrives as an error event as well.
    play: () => void video.value?.play().catch(() => undefined),
    pause: () => video.value?.pause(),
    seekTo,
    setRate,
    stepRate: (direction) => setRate(neighbourRate(playback.rate, direction)),
  };
}

function neighbourRate(rate: number, direction: 1 | -1): number {
  const faster = PLAYBACK_RATES.find((candidate) => candidate > rate);
  const slower = PLAYBACK_RATES.findLast((candidate) => candidate < rate);
  return (direction === 1 ? faster : slower) ?? rate;
}
