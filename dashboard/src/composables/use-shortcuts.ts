/** Keys for a whole view. They are left alone while somebody types, and when combined with Ctrl, Alt or Meta. */
import { onScopeDispose } from 'vue';

/** By `KeyboardEvent.key`, letters in lower case; named keys with `Shift+` in front when shift is held. */
export type Shortcuts = Readonly<Record<string, () => void>>;

export function useShortcuts(shortcuts: Shortcuts): void {
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey || isOwnUse(event)) return;
    const action = shortcuts[nameOf(event)];
    if (!action) return;
    event.preventDefault();
    action();
  };
  window.addEventListener('keydown', onKeyDown);
  onScopeDispose(() => window.removeEventListener('keydown', onKeyDown));
}

function nameOf({ key, shiftKey }: KeyboardEvent): string {
  if (key.length === 1) return key.toLowerCase();
  return shiftKey ? `Shift+${key}` : key;
}

/** Whether the focused element has its own use for the key. */
function isOwnUse({ target, key }: KeyboardEvent): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (
    target.isContentEditable ||
    target.closest('input, textarea, select, [role="menu"], [role="listbox"], .v-overlay')
  ) {
    return true;
  }
  const presses = key === ' ' || key === 'Enter';
  return presses && target.closest('button, a, summary') !== null;
}
