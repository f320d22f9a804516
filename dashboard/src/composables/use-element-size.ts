/** The size of an element in CSS pixels, kept up to date. */
import { onScopeDispose, reactive, watch, type Ref } from 'vue';

export function useElementSize(element: Ref<HTMLElement | null>): { width: number; height: number } {
  const size = reactive({ width: 0, height: 0 });
  const observer = new ResizeObserver(([entry]) => {
    if (entry) Object.assign(size, { width: entry.contentRect.width, height: entry.contentRect.height });
  });
  watch(element, (next, previous) => {
    if (previous) observer.unobserve(previous);
    if (next) observer.observe(next);
  });
  onScopeDispose(() => observer.disconnect());
  return size;
}
