/** Test code, loaded with `node --import`: from here on `import … from 'electron'` means the stand-in. */
import { registerHooks } from 'node:module';

const standIn = new URL('electron.ts', import.meta.url).href;

registerHooks({
  resolve: (specifier, context, nextResolve) =>
    nextResolve(specifier === 'electron' ? standIn : specifier, context),
});
