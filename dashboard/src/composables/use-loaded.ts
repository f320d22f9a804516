/** Something that is loaded once and again on request: what is known, whether it is on its way, what went wrong. */
import { ref, shallowRef, type Ref, type ShallowRef } from 'vue';

export interface Loaded<T> {
  /** The last that was loaded; null before. */
  readonly value: Readonly<ShallowRef<T | null>>;
  readonly error: Readonly<ShallowRef<unknown>>;
  readonly isLoading: Readonly<Ref<boolean>>;
  load(): Promise<void>;
}

export function useLoaded<T>(fetchValue: () => Promise<T>): Loaded<T> {
  const value = shallowRef<T | null>(null);
  const error = shallowRef<unknown>(null);
  const isLoading = ref(false);
  let generation = 0;
  const load = async (): Promise<void> => {
    generation += 1;
    const mine = generation;
    isLoading.value = true;
    try {
      const loaded = await fetchValue();
      if (mine !== generation) return;
      value.value = loaded;
      error.value = null;
    } catch (failure) {
      if (mine === generation) error.value = failure;
    } finally {
      if (mine === generation) isLoading.value = false;
    }
  };
  void load();
  return { value, error, isLoading, load };
}
