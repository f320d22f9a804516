/** The main process: the only file here that touches the process and the life of Electron's app. */
import { app, Menu, protocol } from 'electron';
import { pino } from 'pino';
import { APP_SCHEME } from '../ipc.ts';
import { readConfig } from './config.ts';
import { openDesktop } from './desktop.ts';

const config = readConfig(process.env);
const log = pino({ level: config.logLevel });

// Both must be said before Electron is ready.
protocol.registerSchemesAsPrivileged([
  { scheme: APP_SCHEME, privileges: { standard: true, secure: true, supportFetchAPI: true } },
]);
app.enableSandbox();

if (app.requestSingleInstanceLock()) await run();
else app.quit();

async function run(): Promise<void> {
  await app.whenReady();
  // The default menu offers to reload the page and to open its tools; macOS needs it for copy and paste.
  if (process.platform !== 'darwin') Menu.setApplicationMenu(null);
  try {
    const desktop = await openDesktop({
      config,
      appDirectory: app.getAppPath(),
      dataDirectory: app.getPath('userData'),
      log,
    });
    app.on('second-instance', () => desktop.focus());
    app.on('window-all-closed', () => app.quit());
    app.on('will-quit', (event) => {
      event.preventDefault();
      desktop
        .close()
        .catch((error: unknown) => log.error({ err: error }, 'closing failed'))
        .finally(() => app.exit(0));
    });
    log.info('ready');
  } catch (error) {
    log.fatal({ err: error }, 'the app cannot start');
    app.exit(1);
  }
}
