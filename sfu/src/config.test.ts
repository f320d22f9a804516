import { availableParallelism } from 'node:os';
import { describe, expect, it } from 'vitest';
import { readConfig } from './config.ts';

it('needs no variable at all', () => {
  expect(readConfig({})).toMatchObject({
    host: '127.0.0.1',
    port: 8081,
    mediaAddress: '127.0.0.1',
    announcedAddress: undefined,
    mediaPort: 44_400,
    workerCount: availableParallelism(),
    keySource: { kind: 'url', url: 'http://127.0.0.1:8080/.well-known/jwks.json' },
    logLevel: 'info',
  });
});

it('takes every variable', () => {
  const config = readConfig({
    SFU_HOST: '0.0.0.0',
    SFU_PORT: '0',
    SFU_MEDIA_ADDRESS: '0.0.0.0',
    SFU_ANNOUNCED_ADDRESS: '203.0.113.5',
    SFU_MEDIA_PORT: '0',
    SFU_WORKERS: '3',
    TOKEN_JWKS_URL: 'https://relay.example/jwks.json',
    LOG_LEVEL: 'debug',
    METRICS_TOKEN: 'sixteen characters'.replaceAll(' ', '-'),
    SFU_MAX_CONNECTIONS: '7',
    SFU_MAX_STREAMS_PER_CONNECTION: '8',
    SFU_MAX_VIEWERS_PER_STREAM: '9',
    SFU_MAX_VIEWERS_PER_ROUTER: '10',
    TURN_URLS: 'turn:turn.example:3478?transport=udp, turns:turn.example:443',
    TURN_SECRET: 'a secret of sixteen',
    TURN_TTL_S: '60',
  });
  expect(config).toMatchObject({
    host: '0.0.0.0',
    port: 0,
    mediaAddress: '0.0.0.0',
    announcedAddress: '203.0.113.5',
    mediaPort: 0,
    workerCount: 3,
    keySource: { kind: 'url', url: 'https://relay.example/jwks.json' },
    logLevel: 'debug',
    metricsToken: 'sixteen-characters',
    turn: {
      urls: ['turn:turn.example:3478?transport=udp', 'turns:turn.example:443'],
      secret: 'a secret of sixteen',
      ttlS: 60,
    },
    limits: {
      maxConnections: 7,
      maxStreamsPerConnection: 8,
      maxViewersPerStream: 9,
      maxViewersPerRouter: 10,
    },
  });
});

it('prefers a file of keys to a URL', () => {
  const config = readConfig({ TOKEN_JWKS_FILE: '/etc/jwks.json', TOKEN_JWKS_URL: 'https://relay.example/' });
  expect(config.keySource).toEqual({ kind: 'file', path: '/etc/jwks.json' });
});

it('treats an empty variable as one that is not set', () => {
  expect(readConfig({ SFU_PORT: '', SFU_ANNOUNCED_ADDRESS: '', TOKEN_JWKS_FILE: '' })).toEqual(
    readConfig({}),
  );
});

describe('refuses, naming the variable,', () => {
  it.each([
    [{ SFU_PORT: 'http' }, 'SFU_PORT=http'],
    [{ SFU_PORT: '65536' }, 'SFU_PORT=65536'],
    [{ SFU_PORT: '1.5' }, 'SFU_PORT=1.5'],
    [{ SFU_WORKERS: '0' }, 'SFU_WORKERS=0'],
    [{ SFU_MEDIA_PORT: '-1' }, 'SFU_MEDIA_PORT=-1'],
    [{ SFU_MEDIA_PORT: '65535', SFU_WORKERS: '2' }, 'SFU_MEDIA_PORT=65535'],
    [{ SFU_MEDIA_ADDRESS: 'localhost' }, 'SFU_MEDIA_ADDRESS=localhost'],
    [{ SFU_MEDIA_ADDRESS: '0.0.0.0' }, 'SFU_ANNOUNCED_ADDRESS'],
    [{ SFU_MEDIA_ADDRESS: '::' }, 'SFU_ANNOUNCED_ADDRESS'],
    [{ TOKEN_JWKS_URL: 'file:///etc/jwks.json' }, 'TOKEN_JWKS_URL=file'],
    [{ LOG_LEVEL: 'loud' }, 'LOG_LEVEL=loud'],
    [{ SFU_MAX_CONNECTIONS: '0' }, 'SFU_MAX_CONNECTIONS=0'],
    [{ TURN_URLS: 'turn:turn.example' }, 'TURN_SECRET'],
    [{ TURN_URLS: 'turn:turn.example', TURN_SECRET: 'short' }, 'TURN_SECRET'],
    [{ TURN_URLS: 'https://turn.example', TURN_SECRET: 'a secret of sixteen' }, 'https://turn.example'],
    [{ TURN_TTL_S: '1' }, 'TURN_TTL_S=1'],
    [{ METRICS_TOKEN: 'short' }, 'METRICS_TOKEN'],
  ])('%j', (env, message) => {
    expect(() => readConfig(env)).toThrow(message);
  });
});
