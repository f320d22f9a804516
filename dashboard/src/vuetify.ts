/** The component library, with our palettes and defaults. docs/decisions/0002-component-library.md says why this one. */
import { createVuetify } from 'vuetify';
import { mdi } from 'vuetify/iconsets/mdi-svg';
import { vuetifyAliases } from './icons.ts';
import { darkTheme, lightTheme, THEME_DARK, THEME_LIGHT } from './theme.ts';

export function createComponentLibrary(initialTheme: typeof THEME_DARK | typeof THEME_LIGHT) {
  return createVuetify({
    icons: { defaultSet: 'mdi', aliases: { ...vuetifyAliases }, sets: { mdi } },
    theme: {
      defaultTheme: initialTheme,
      themes: { [THEME_DARK]: darkTheme, [THEME_LIGHT]: lightTheme },
      cspNonce: readCspNonce(),
    },
    display: { mobileBreakpoint: 'md' },
    defaults: {
      global: { ripple: false },
      VBtn: { variant: 'flat', height: 40 },
      VTextField: { variant: 'outlined', density: 'comfortable', hideDetails: 'auto' },
      VSelect: { variant: 'outlined', density: 'comfortable', hideDetails: 'auto' },
      VAlert: { variant: 'tonal', density: 'comfortable' },
      VMenu: { offset: 6 },
    },
  });
}

/** The relay puts a fresh nonce into each page that it serves; the theme's style element has to carry it. */
function readCspNonce(): string {
  return document.querySelector<HTMLMetaElement>('meta[property="csp-nonce"]')?.nonce ?? '';
}
