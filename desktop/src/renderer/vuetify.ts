/** The component library with our palettes; it follows the system between dark and light. */
import {
  mdiAlertCircleOutline,
  mdiAlertOutline,
  mdiCheckCircleOutline,
  mdiClose,
  mdiCloseCircle,
  mdiInformationOutline,
  mdiMenuDown,
} from '@mdi/js';
import { createVuetify } from 'vuetify';
import { mdi } from 'vuetify/iconsets/mdi-svg';
import 'vuetify/styles';
import { dark, light } from './theme.ts';

export function createComponentLibrary() {
  return createVuetify({
    icons: {
      defaultSet: 'mdi',
      sets: { mdi },
      aliases: {
        error: `svg:${mdiAlertCircleOutline}`,
        warning: `svg:${mdiAlertOutline}`,
        success: `svg:${mdiCheckCircleOutline}`,
        info: `svg:${mdiInformationOutline}`,
        close: `svg:${mdiClose}`,
        clear: `svg:${mdiCloseCircle}`,
        dropdown: `svg:${mdiMenuDown}`,
      },
    },
    theme: { defaultTheme: 'system', themes: { dark, light }, cspNonce: readCspNonce() },
    defaults: {
      global: { ripple: false },
      VBtn: { variant: 'flat', rounded: 'lg', height: 44 },
      VCard: { flat: true, rounded: 'xl' },
      VSelect: { variant: 'outlined', hideDetails: 'auto', rounded: 'lg' },
      VTextField: { variant: 'outlined', hideDetails: 'auto', rounded: 'lg' },
      VAlert: { variant: 'tonal', rounded: 'lg', density: 'comfortable' },
      VDialog: { maxWidth: 480 },
    },
  });
}

/** Each page that the main process serves has a nonce of its own; the theme's style element has to carry it. */
function readCspNonce(): string {
  return document.querySelector<HTMLMetaElement>('meta[property="csp-nonce"]')?.nonce ?? '';
}
