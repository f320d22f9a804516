/** The list of recordings: pages loaded so far, the newest page kept fresh while it is looked at. */
import type { Id, Recording } from '@proofcast/shared';
import { onScopeDispose, ref, shallowRef, watch, type Ref, type ShallowRef } from 'vue';
import { RECORDINGS_PAGE_SIZE, RECORDINGS_REFRESH_MS } from '../config.ts';
import { useRelay } from './use-services.ts';

export type RecordingsState =
  | { readonly kind: 'loading' }
  | { readonly kind: 'failed'; readonly error: unknown }
  | { readonly kind: 'loaded'; readonly hasMore: boolean };

export interface Recordings {
  /** Newest first. */
  readonly recordings: Readonly<ShallowRef<readonly Recording[]>>;
  readonly state: Readonly<ShallowRef<RecordingsState>>;
  readonly isLoadingMore: Readonly<Ref<boolean>>;
  /** Why the last request for older ones failed. */
  readonly moreError: Readonly<ShallowRef<unknown>>;
  reload(): Promise<void>;
  loadMore(): Promise<void>;
}

export function useRecordings(streamId: Ref<Id | undefined>): Recordings {
  const relay = useRelay();
  const recordings = shallowRef<readonly Recording[]>([]);
  const state = shallowRef<RecordingsState>({ kind: 'loading' });
  const isLoadingMore = ref(false);
  const moreError = shallowRef<unknown>(null);
  let abort = new AbortController();

  const fetchPage = async (signal: AbortSignal, beforeMs?: number): Promise<Recording[]> => {
    const answer = await relay.call('recordings', {
      query: {
        limit: RECORDINGS_PAGE_SIZE,
        ...(streamId.value ? { streamId: streamId.value } : {}),
        ...(beforeMs === undefined ? {} : { beforeMs }),
      },
      signal,
    });
    return answer.recordings;
  };

  const reload = async (): Promise<void> => {
    abort.abort();
    abort = new AbortController();
    const { signal } = abort;
    state.value = { kind: 'loading' };
    recordings.value = [];
    moreError.value = null;
    try {
      const page = await fetchPage(signal);
      recordings.value = page;
      state.value = { kind: 'loaded', hasMore: page.length === RECORDINGS_PAGE_SIZE };
    } catch (error) {
      if (!signal.aborted) state.value = { kind: 'failed', error };
    }
  };

  const loadMore = async (): Promise<void> => {
    const last = recordings.value.at(-1);
    if (!last || isLoadingMore.value) return;
    const { signal } = abort;
    isLoadingMore.value = true;
    moreError.value = null;
    try {
      const page = await fetchPage(signal, last.startedAtMs);
      recordings.value = mergeRecordings(recordings.value, page);
      state.value = { kind: 'loaded', hasMore: page.length === RECORDINGS_PAGE_SIZE };
    } catch (error) {
      if (!signal.aborted) moreError.value = error;
    } finally {
      isLoadingMore.value = false;
    }
  };

  /** Recordings begin, grow, are sealed and deleted while somebody looks at the list. */
  const refresh = async (): Promise<void> => {
    if (state.value.kind !== 'loaded' || document.hidden) return;
    const { signal } = abort;
    try {
      const page = await fetchPage(signal);
      if (signal.aborted) return;
      const isAll = page.length < RECORDINGS_PAGE_SIZE;
      recordings.value = refreshRecordings(recordings.value, page, { isAll });
      if (recordings.value.length === page.length) state.value = { kind: 'loaded', hasMore: !isAll };
    } catch {
      // The list on the screen stays right until the next look; the banner tells when the server is away.
    }
  };

  watch(streamId, () => void reload(), { immediate: true });
  const timer = setInterval(() => void refresh(), RECORDINGS_REFRESH_MS);
  onScopeDispose(() => {
    clearInterval(timer);
    abort.abort();
  });
  return { recordings, state, isLoadingMore, moreError, reload, loadMore };
}

/** Both lists as one, newest first; where both have a recording, the one of `fresh` counts. */
export function mergeRecordings(known: readonly Recording[], fresh: readonly Recording[]): Recording[] {
  const byId = new Map(known.map((recording) => [recording.recordingId, recording]));
  for (const recording of fresh) byId.set(recording.recordingId, recording);
  return [...byId.values()].toSorted((a, b) => b.startedAtMs - a.startedAtMs);
}

/** `page` holds the newest there are: what should be in it and is not was deleted. `isAll`: there are no older ones. */
export function refreshRecordings(
  known: readonly Recording[],
  page: readonly Recording[],
  { isAll }: { isAll: boolean },
): Recording[] {
  const oldestMs = page.at(-1)?.startedAtMs ?? 0;
  const older = isAll ? [] : known.filter(({ startedAtMs }) => startedAtMs <= oldestMs);
  return mergeRecordings(older, page);
}
