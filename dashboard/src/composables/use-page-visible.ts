/** Whether the page is in front of somebody: a tab in the background is not. */
import { onScopeDispose, readonly, ref, type Ref } from 'vue';

export function usePageVisible(): Readonly<Ref<boolean>> {
  const isVisible = ref(!document.hidden);
  const onChange = (): void => {
    isVisible.value = !document.hidden;
  };
  document.addEventListener('visibilitychange', onChange);
  onScopeDispose(() => document.removeEventListener('visibilitychange', onChange));
  return readonly(isVisible);
}
