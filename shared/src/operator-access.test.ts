import { describe, expect, it } from 'vitest';
import { readBearerToken, requireThisMachine } from './operator-access.ts';

describe('a request without a token', () => {
  it.each([
    ['127.0.0.1', 'localhost:8080'],
    ['127.255.255.255', '127.0.0.1'],
    ['::ffff:127.0.0.1', '[::1]:8080'],
    ['::1', 'localhost'],
  ])('is from this machine: %s to %s', (address, host) => {
    expect(() => requireThisMachine({ address, headers: { host } })).not.toThrow();
  });

  it.each([
    ['10.0.0.1', 'localhost', {}],
    ['127.0.0.1', 'relay.example', {}],
    ['127.0.0.1', '127.0.0.256', {}],
    ['127.0.0.1', '127.0.0.1.example', {}],
    ['127.0.0.1', 'localhost', { 'x-forwarded-for': '10.0.0.1' }],
    ['127.0.0.1', undefined, {}],
    [undefined, 'localhost', {}],
  ])('may be from elsewhere: %s to %s with %j', (address, host, headers) => {
    expect(() => requireThisMachine({ address, headers: { host, ...headers } })).toThrow(
      expect.objectContaining({ code: 'UNAUTHENTICATED' }),
    );
  });
});

describe('a bearer token', () => {
  it('is what follows the scheme, however that is written', () => {
    expect(['Bearer a.b', 'bearer a.b'].map((value) => readBearerToken(value))).toEqual(['a.b', 'a.b']);
  });

  it.each([undefined, '', 'Bearer', 'Bearer a b', 'Basic a'])('is missing in %s', (value) => {
    expect(() => readBearerToken(value)).toThrow(expect.objectContaining({ code: 'UNAUTHENTICATED' }));
  });
});
