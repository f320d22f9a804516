import { describe, expect, it } from 'vitest';
import { RELAY_ROUTES, routePath } from './relay-api.ts';

describe('the route table', () => {
  it('[A1] names each method and path once', () => {
    const keys = Object.values(RELAY_ROUTES).map((route) => `${route.method} ${route.path}`);
    expect(new Set(keys).size).toBe(keys.length);
  });

  it('[A1] leaves open to everybody only health, keys, signing in and enrolling', () => {
    const open = Object.entries(RELAY_ROUTES).filter(([, route]) => route.access === 'public');
    expect(open.map(([name]) => name).toSorted()).toEqual(['enrol', 'healthz', 'jwks', 'readyz', 'signIn']);
  });
});

describe('routePath', () => {
  it('fills in parameters so that they cannot leave their place', () => {
    expect(routePath('recording', { recordingId: '../users?x=1' })).toBe(
      '/api/recordings/..%2Fusers%3Fx%3D1',
    );
  });

  it('throws when a parameter is missing', () => {
    expect(() => routePath('recording')).toThrow(TypeError);
  });
});
