/** The time, once a second, for everything that says how long something has been so. One timer for the whole page. */
import { onScopeDispose, readonly, ref, type Ref } from 'vue';

const nowMs = ref(Date.now());
let users = 0;
let timer: ReturnType<typeof setInterval> | undefined;

export function useNow(): Readonly<Ref<number>> {
  users += 1;
  nowMs.value = Date.now();
  timer ??= setInterval(() => {
    nowMs.value = Date.now();
  }, 1_000);
  onScopeDispose(() => {
    users -= 1;
    if (users > 0) return;
    clearInterval(timer);
    timer = undefined;
  });
  return readonly(nowMs);
}
