/** Whether an element is in the viewport or close to it: what nobody sees need not be decoded. */
import { onScopeDispose, ref, watch, type Ref } from 'vue';

export function useIsVisible(element: Ref<HTMLElement | null>): Readonly<Ref<boolean>> {
  const isVisible = ref(false);
  const observer = new IntersectionObserver(
    (entries) => {
      isVisible.value = entries.at(-1)?.isIntersecting ?? false;
    },
    { rootMargin: '120px' },
  );
  watch(element, (next, previous) => {
    if (previous) observer.unobserve(previous);
    if (next) observer.observe(next);
  });
  onScopeDispose(() => observer.disconnect());
  return isVisible;
}
