import { defineConfig } from 'vite';

/** The preload script: one CommonJS file, because a sandboxed one can load nothing but `electron`. */
export default defineConfig({
  build: {
    outDir: `${import.meta.dirname}/dist`,
    emptyOutDir: false,
    target: 'chrome140',
    lib: { entry: `${import.meta.dirname}/src/preload.ts`, formats: ['cjs'], fileName: () => 'preload.cjs' },
    rolldownOptions: { external: ['electron'] },
  },
});
