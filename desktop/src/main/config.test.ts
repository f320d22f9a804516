import { describe, expect, it } from 'vitest';
import { readConfig } from './config.ts';

describe('the configuration', () => {
  it('has a default for everything', () => {
    const config = readConfig({ PATH: '/usr/bin' });
    expect(config.logLevel).toBe('info');
    expect(config.spool.limitBytes).toBe(4096 * 1024 * 1024);
  });

  it('takes the limit of the spool and the level of the log from the environment', () => {
    const config = readConfig({ DESKTOP_SPOOL_LIMIT_MB: '20', LOG_LEVEL: 'debug' });
    expect(config.spool.limitBytes).toBe(20 * 1024 * 1024);
    expect(config.logLevel).toBe('debug');
  });

  it.each([
    ['DESKTOP_SPOOL_LIMIT_MB', '0'],
    ['DESKTOP_SPOOL_LIMIT_MB', '20 MB'],
    ['DESKTOP_SPOOL_LIMIT_MB', '-1'],
    ['LOG_LEVEL', 'loud'],
  ])('names the variable %s when it is %j', (name, value) => {
    expect(() => readConfig({ [name]: value })).toThrow(name);
  });
});
