/** Hears from the system that the device sleeps, wakes up, and is locked, and tells those whom it concerns. */
import type { PowerMonitor } from 'electron';
import type { Logger } from 'pino';
import type { Recordings } from './recordings.ts';

/** Returns the function that ends it. */
export function watchPower(options: {
  powerMonitor: Pick<PowerMonitor, 'on' | 'off'>;
  recordings: Pick<Recordings, 'onSuspend' | 'onResume' | 'setLocked'>;
  /** Tells the page. */
  send: (name: 'suspended' | 'resumed') => void;
  log: Logger;
}): () => void {
  const { powerMonitor, recordings, send, log } = options;
  const onSuspend = (): void => {
    log.info('the device goes to sleep');
    recordings.onSuspend();
    send('suspended');
  };
  const onResume = (): void => {
    const wasUnannounced = recordings.onResume();
    log.info({ wasUnannounced }, 'the device is awake');
    if (wasUnannounced) send('suspended');
    send('resumed');
  };
  const onLock = (): void => recordings.setLocked(true);
  const onUnlock = (): void => recordings.setLocked(false);
  powerMonitor.on('suspend', onSuspend);
  powerMonitor.on('resume', onResume);
  powerMonitor.on('lock-screen', onLock);
  powerMonitor.on('unlock-screen', onUnlock);
  return () => {
    powerMonitor.off('suspend', onSuspend);
    powerMonitor.off('resume', onResume);
    powerMonitor.off('lock-screen', onLock);
    powerMonitor.off('unlock-screen', onUnlock);
  };
}
