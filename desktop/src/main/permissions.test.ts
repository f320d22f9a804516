import { describe, expect, it } from 'vitest';
import { APP_ORIGIN } from '../ipc.ts';
import { isPermissionGranted } from './permissions.ts';

const own = { origin: APP_ORIGIN, isMainFrame: true, devices: [], isSoundAllowed: false };

describe('permissions', () => {
  it.each(['display-capture', 'media', 'local-network-access', 'loopback-network'])(
    '%s is granted to our page',
    (permission) => {
      expect(isPermissionGranted({ ...own, permission })).toBe(true);
      expect(isPermissionGranted({ ...own, permission, origin: `${APP_ORIGIN}/` })).toBe(true);
    },
  );

  it.each(['geolocation', 'notifications', 'clipboard-read', 'fullscreen', 'hid', 'openExternal', 'unknown'])(
    '%s is denied to our page',
    (permission) => {
      expect(isPermissionGranted({ ...own, permission })).toBe(false);
    },
  );

  it('a camera is denied to our page, and sound unless it is shared', () => {
    const media = { ...own, permission: 'media' };
    expect(isPermissionGranted({ ...media, devices: ['video'] })).toBe(false);
    expect(isPermissionGranted({ ...media, devices: ['audio'] })).toBe(false);
    const shared = { ...media, isSoundAllowed: true };
    expect(isPermissionGranted({ ...shared, devices: ['audio'] })).toBe(true);
    expect(isPermissionGranted({ ...shared, devices: ['video'] })).toBe(false);
    expect(isPermissionGranted({ ...shared, devices: ['audio', 'video'] })).toBe(false);
    expect(isPermissionGranted({ ...shared, devices: ['audio'], isMainFrame: false })).toBe(false);
  });

  it.each([
    ['another origin', { ...own, origin: 'https://evil.example' }],
    ['no origin', { ...own, origin: undefined }],
    ['a frame inside', { ...own, isMainFrame: false }],
  ])('nothing is granted to %s', (_who, asked) => {
    expect(isPermissionGranted({ ...asked, permission: 'display-capture' })).toBe(false);
  });
});
