/**
 * Test code: Chromium knows no `app:` scheme, so the pages of the app live at a secure origin of their own that exists
 * nowhere, and the app sees their addresses translated.
 */
const SUFFIX = '.electron-stand-in.invalid';

/** `app://proofcast/index.html` → `https://app--proofcast.electron-stand-in.invalid/index.html` */
export function toPageUrl(url: string): string {
  return url.replace(
    /^(\w+):\/\/(\w+)/,
    (_, scheme: string, host: string) => `https://${scheme}--${host}${SUFFIX}`,
  );
}

/** The inverse; addresses that are not the app's stay as they are. */
export function toAppUrl(url: string): string {
  return url.replace(/^https:\/\/(\w+)--(\w+)\.electron-stand-in\.invalid/, '$1://$2');
}

export function originOf(url: string): string {
  return /^\w+:\/\/[^/]+/.exec(url)?.[0] ?? 'null';
}

/** Matches the addresses of all pages of the app. */
export const PAGE_URLS = new RegExp(`^https://[^/]+${SUFFIX.replaceAll('.', '\\.')}/`);
