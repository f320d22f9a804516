import vue from '@vitejs/plugin-vue';
import { defineConfig } from 'vite';
import vuetify from 'vite-plugin-vuetify';

/** The page. */
export default defineConfig({
  root: `${import.meta.dirname}/src/renderer`,
  base: './',
  plugins: [vue(), vuetify()],
  // Replaced with a fresh nonce whenever the page is served; see app-protocol.ts.
  html: { cspNonce: '__CSP_NONCE__' },
  build: {
    outDir: `${import.meta.dirname}/dist/renderer`,
    emptyOutDir: true,
    // The Content-Security-Policy allows no inline code and no data: fonts.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: 'chrome140',
    // One page, loaded from this disk: nothing is gained by splitting it.
    chunkSizeWarningLimit: 1_500,
  },
});
