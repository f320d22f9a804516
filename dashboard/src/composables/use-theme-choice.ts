/** Dark, light, or what the system says; remembered by this browser. */
import { readonly, ref, watch, type Ref } from 'vue';
import { useTheme } from 'vuetify';
import { THEME_DARK, THEME_LIGHT } from '../theme.ts';

export const THEME_CHOICES = ['system', 'dark', 'light'] as const;
export type ThemeChoice = (typeof THEME_CHOICES)[number];

const STORAGE_KEY = 'proofcast.theme';
const prefersLight = window.matchMedia('(prefers-color-scheme: light)');
const choice = ref<ThemeChoice>(readChoice());
const systemIsLight = ref(prefersLight.matches);
prefersLight.addEventListener('change', () => {
  systemIsLight.value = prefersLight.matches;
});

export function initialTheme(): typeof THEME_DARK | typeof THEME_LIGHT {
  return themeOf(choice.value, systemIsLight.value);
}

/** Keeps the theme in step with the choice; to be called once, by the shell. */
export function useThemeSync(): void {
  const theme = useTheme();
  watch([choice, systemIsLight], () => theme.change(themeOf(choice.value, systemIsLight.value)), {
    immediate: true,
  });
}

export function useThemeChoice(): {
  choice: Readonly<Ref<ThemeChoice>>;
  choose: (next: ThemeChoice) => void;
} {
  return {
    choice: readonly(choice),
    choose: (next) => {
      choice.value = next;
      localStorage.setItem(STORAGE_KEY, next);
    },
  };
}

function themeOf(chosen: ThemeChoice, isSystemLight: boolean): typeof THEME_DARK | typeof THEME_LIGHT {
  if (chosen === 'system') return isSystemLight ? THEME_LIGHT : THEME_DARK;
  return chosen === 'light' ? THEME_LIGHT : THEME_DARK;
}

function readChoice(): ThemeChoice {
  const stored = localStorage.getItem(STORAGE_KEY);
  return THEME_CHOICES.find((known) => known === stored) ?? 'system';
}
