/** Permissions of web content: denied, except what the app itself cannot work without. */
import type { Session } from 'electron';
import { APP_ORIGIN } from '../ipc.ts';

/** An SFU is often in the network of the office; Chromium asks before a page may reach a private address. */
const GRANTED = ['display-capture', 'local-network', 'local-network-access', 'loopback-network'];

interface Asked {
  readonly permission: string;
  readonly origin: string | undefined;
  readonly isMainFrame: boolean;
  /** For `media`: which devices are asked for. Capture of a screen asks for none. */
  readonly devices: readonly string[];
}

export function isPermissionGranted({ permission, origin, isMainFrame, devices }: Asked): boolean {
  if (!isMainFrame || origin?.replace(/\/$/, '') !== APP_ORIGIN) return false;
  return GRANTED.includes(permission) || (permission === 'media' && devices.length === 0);
}

export function restrictPermissions(session: Session): void {
  session.setPermissionCheckHandler((_webContents, permission, origin, { isMainFrame, mediaType }) => {
    const devices = mediaType === undefined || mediaType === 'unknown' ? [] : [mediaType];
    return isPermissionGranted({ permission, origin, isMainFrame, devices });
  });
  session.setPermissionRequestHandler((webContents, permission, callback, details) => {
    const devices = 'mediaTypes' in details ? (details.mediaTypes ?? []) : [];
    const origin = webContents.mainFrame.origin;
    callback(isPermissionGranted({ permission, origin, isMainFrame: details.isMainFrame, devices }));
  });
  session.setDevicePermissionHandler(() => false);
}
