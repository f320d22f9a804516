import { onUnmounted, ref, type Ref } from 'vue';

/** The wall clock, once a second, for as long as the component lives. */
export function useNow(): Readonly<Ref<number>> {
  const now = ref(Date.now());
  const timer = window.setInterval(() => {
    now.value = Date.now();
  }, 1_000);
  onUnmounted(() => window.clearInterval(timer));
  return now;
}
