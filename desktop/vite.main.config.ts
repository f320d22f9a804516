import { defineConfig } from 'vite';

/** The main process. Dependencies stay where npm put them, but `shared` is TypeScript, which Electron does not load. */
export default defineConfig({
  ssr: { noExternal: ['@proofcast/shared'] },
  build: {
    ssr: `${import.meta.dirname}/src/main/main.ts`,
    outDir: `${import.meta.dirname}/dist`,
    emptyOutDir: false,
    target: 'node24',
    sourcemap: true,
    rolldownOptions: { output: { entryFileNames: 'main.js' } },
  },
});
