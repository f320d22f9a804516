/** Full screen of one element. */
import { onScopeDispose, readonly, ref, type Ref } from 'vue';

export function useFullScreen(element: Ref<HTMLElement | null>): {
  isFullScreen: Readonly<Ref<boolean>>;
  toggle: () => Promise<void>;
} {
  const isFullScreen = ref(false);
  const onChange = (): void => {
    isFullScreen.value = document.fullscreenElement !== null && document.fullscreenElement === element.value;
  };
  document.addEventListener('fullscreenchange', onChange);
  onScopeDispose(() => document.removeEventListener('fullscreenchange', onChange));
  return {
    isFullScreen: readonly(isFullScreen),
    toggle: async () => {
      try {
        if (isFullScreen.value) await document.exitFullscreen();
        else await element.value?.requestFullscreen();
      } catch {
        // Refused by the browser or by a policy of the page around us: it stays as it is, which is visible.
      }
    },
  };
}
