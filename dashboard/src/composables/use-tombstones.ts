/** What is kept of deleted recordings, page by page. */
import type { Tombstone } from '@proofcast/shared';
import { onScopeDispose, ref, shallowRef, type Ref, type ShallowRef } from 'vue';
import { TOMBSTONES_PAGE_SIZE } from '../config.ts';
import { useRelay } from './use-services.ts';

export interface Tombstones {
  /** Newest first; null before the first page is there. */
  readonly tombstones: Readonly<ShallowRef<readonly Tombstone[] | null>>;
  readonly hasMore: Readonly<Ref<boolean>>;
  readonly isLoading: Readonly<Ref<boolean>>;
  /** Why the last page could not be loaded. */
  readonly error: Readonly<ShallowRef<unknown>>;
  /** The next page, or the same again after it failed. */
  loadMore(): Promise<void>;
}

export function useTombstones(): Tombstones {
  const relay = useRelay();
  const tombstones = shallowRef<readonly Tombstone[] | null>(null);
  const hasMore = ref(true);
  const isLoading = ref(false);
  const error = shallowRef<unknown>(null);
  const abort = new AbortController();
  onScopeDispose(() => abort.abort());

  const loadMore = async (): Promise<void> => {
    if (isLoading.value || !hasMore.value) return;
    isLoading.value = true;
    error.value = null;
    const known = tombstones.value ?? [];
    const after = known.at(-1)?.recordingId;
    try {
      const page = await relay.call('tombstones', {
        query: { limit: TOMBSTONES_PAGE_SIZE, ...(after === undefined ? {} : { after }) },
        signal: abort.signal,
      });
      tombstones.value = [...known, ...page.tombstones];
      hasMore.value = page.tombstones.length === TOMBSTONES_PAGE_SIZE;
    } catch (failure) {
      if (!abort.signal.aborted) error.value = failure;
    } finally {
      isLoading.value = false;
    }
  };
  void loadMore();
  return { tombstones, hasMore, isLoading, error, loadMore };
}
