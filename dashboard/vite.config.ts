import vue from '@vitejs/plugin-vue';
import { defineConfig } from 'vite';
import vuetify from 'vite-plugin-vuetify';

export default defineConfig({
  root: import.meta.dirname,
  plugins: [vue(), vuetify()],
  build: {
    outDir: 'dist',
    emptyOutDir: true,
    // The Content-Security-Policy of the relay allows no inline code and no data: fonts.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: {
      output: {
        codeSplitting: {
          groups: [
            {
              name: 'mediasoup',
              test: /node_modules[\\/](mediasoup-client|sdp-transform|h264-profile-level-id)[\\/]/,
            },
            { name: 'vue', test: /node_modules[\\/](vue|@vue|vue-router)[\\/]/ },
            { name: 'contracts', test: /(node_modules[\\/]typebox|[\\/]shared[\\/]src)[\\/]/ },
          ],
        },
      },
    },
  },
});
