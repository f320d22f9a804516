/** Copies text, and says for a moment that it has. */
import { onScopeDispose, ref, type Ref } from 'vue';

export type CopyState = 'idle' | 'copied' | 'failed';

const SHOWN_MS = 2_000;

export function useCopy(): { state: Readonly<Ref<CopyState>>; copy: (text: string) => Promise<void> } {
  const state = ref<CopyState>('idle');
  let timer: ReturnType<typeof setTimeout> | undefined;
  onScopeDispose(() => clearTimeout(timer));
  return {
    state,
    copy: async (text) => {
      state.value = (await writeClipboard(text)) ? 'copied' : 'failed';
      clearTimeout(timer);
      timer = setTimeout(() => {
        state.value = 'idle';
      }, SHOWN_MS);
    },
  };
}

/** The clipboard API exists in secure contexts only; a relay in a company's own network may well be plain HTTP. */
async function writeClipboard(text: string): Promise<boolean> {
  if (window.isSecureContext) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // Not permitted or not focused; the older way may still work.
    }
  }
  const field = document.createElement('textarea');
  field.value = text;
  field.setAttribute('readonly', '');
  field.className = 'visually-hidden';
  const focused = document.activeElement;
  const host = focused?.closest('[role="dialog"], .v-overlay__content') ?? document.body;
  host.append(field);
  field.select();
  const isCopied = document.execCommand('copy');
  field.remove();
  if (focused instanceof HTMLElement) focused.focus();
  return isCopied;
}
