/** Test code: sleeping, waking and locking happen when the launcher says so. */
import { EventEmitter } from 'node:events';

export type PowerEvent = 'suspend' | 'resume' | 'lock-screen' | 'unlock-screen';

export const powerMonitor = new EventEmitter<Record<PowerEvent, []>>();
