import type { PowerMonitor } from 'electron';
import { EventEmitter } from 'node:events';
import { pino } from 'pino';
import { beforeEach, describe, expect, it } from 'vitest';
import { watchPower } from './power-watch.ts';

let powerMonitor: EventEmitter;
let told: string[];
let isUnannounced: boolean;
let stop: () => void;

beforeEach(() => {
  powerMonitor = new EventEmitter();
  told = [];
  isUnannounced = false;
  stop = watchPower({
    // It has what the watch uses of it.
    powerMonitor: powerMonitor as unknown as PowerMonitor,
    recordings: {
      onSuspend: () => told.push('recordings: sleeps'),
      onResume: () => isUnannounced,
      setLocked: (isLocked) => told.push(`recordings: locked ${isLocked}`),
    },
    send: (name) => told.push(`page: ${name}`),
    log: pino({ level: 'silent' }),
  });
});

describe('the watch on the power of the device', () => {
  it('[U20] tells the recording first, then the page, that the device sleeps, and that it is awake', () => {
    powerMonitor.emit('suspend');
    powerMonitor.emit('resume');
    expect(told).toEqual(['recordings: sleeps', 'page: suspended', 'page: resumed']);
  });

  it('[U20] lets the page end its epoch when the device wakes from a sleep that nobody announced', () => {
    isUnannounced = true;
    powerMonitor.emit('resume');
    expect(told).toEqual(['page: suspended', 'page: resumed']);
  });

  it('[U21] tells the recording whether the screen is locked', () => {
    powerMonitor.emit('lock-screen');
    powerMonitor.emit('unlock-screen');
    expect(told).toEqual(['recordings: locked true', 'recordings: locked false']);
  });

  it('hears nothing after it has ended', () => {
    stop();
    for (const name of ['suspend', 'resume', 'lock-screen', 'unlock-screen']) powerMonitor.emit(name);
    expect(told).toEqual([]);
    expect(powerMonitor.eventNames()).toEqual([]);
  });
});
