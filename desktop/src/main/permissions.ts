/**
 * Permissions of web content: denied, except what the app itself cannot work without, and sound for as long as the person
 * shares it.
 */
import type { Session } from 'electron';
import { APP_ORIGIN } from '../ipc.ts';
import type { Sharing } from './sharing.ts';

/** An SFU is often in the network of the office; Chromium asks before a page may reach a private address. */
const GRANTED = ['display-capture', 'local-network', 'local-network-access', 'loopback-network'];

interface Asked {
  readonly permission: string;
  readonly origin: string | undefined;
  readonly isMainFrame: boolean;
  /** For `media`: which devices are asked for. Capture of a screen asks for none. */
  readonly devices: readonly string[];
  /** Whether the page may have sound. */
  readonly isSoundAllowed: boolean;
}

export function isPermissionGranted(asked: Asked): boolean {
  const { permission, origin, isMainFrame, devices, isSoundAllowed } = asked;
  if (!isMainFrame || origin?.replace(/\/$/, '') !== APP_ORIGIN) return false;
  if (permission === 'media') return devices.every((device) => device === 'audio' && isSoundAllowed);
  return GRANTED.includes(permission);
}

export function restrictPermissions(session: Session, sharing: Sharing): void {
  session.setPermissionCheckHandler((_webContents, permission, origin, { isMainFrame, mediaType }) => {
    const devices = mediaType === undefined || mediaType === 'unknown' ? [] : [mediaType];
    // What is only checked are the names of devices, for the person to choose by; each capture is requested.
    return isPermissionGranted({ permission, origin, isMainFrame, devices, isSoundAllowed: true });
  });
  session.setPermissionRequestHandler((webContents, permission, callback, details) => {
    const devices = 'mediaTypes' in details ? (details.mediaTypes ?? []) : [];
    const origin = webContents.mainFrame.origin;
    const { isMainFrame } = details;
    const { isSoundShared: isSoundAllowed } = sharing;
    callback(isPermissionGranted({ permission, origin, isMainFrame, devices, isSoundAllowed }));
  });
  session.setDevicePermissionHandler(() => false);
}
