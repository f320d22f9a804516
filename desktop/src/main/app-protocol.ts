/**
 * Serves the built pages as `app://proofcast/…`: an origin of our own, which `file://` is not. Only the files that the
 * build made exist.
 */
import { randomBytes } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { extname, join, relative, sep } from 'node:path';
import { APP_ORIGIN } from '../ipc.ts';

/** Vite writes this where a nonce belongs; see vite.config.ts. */
export const NONCE_PLACEHOLDER = '__CSP_NONCE__';

const CONTENT_TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.woff2': 'font/woff2',
};

/** Returns the handler for `protocol.handle`. Throws when `directory` has not been built. */
export async function createAppProtocol(directory: string): Promise<(request: Request) => Promise<Response>> {
  const files = new Map<string, string>();
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile()) files.set(`${APP_ORIGIN}/${relative(directory, path).split(sep).join('/')}`, path);
  }
  return async (request) => {
    const [url = ''] = request.url.split(/[?#]/);
    const path = request.method === 'GET' ? files.get(url) : undefined;
    if (path === undefined)
      return new Response('Not found', { status: 404, headers: headersFor('.txt', '') });
    const nonce = randomBytes(16).toString('base64');
    const isPage = extname(path) === '.html';
    const body = isPage
      ? (await readFile(path, 'utf8')).replaceAll(NONCE_PLACEHOLDER, nonce)
      : await readFile(path);
    return new Response(body, { headers: headersFor(extname(path), nonce) });
  };
}

function headersFor(extension: string, nonce: string): Record<string, string> {
  return {
    'content-type': CONTENT_TYPES[extension] ?? 'application/octet-stream',
    'content-security-policy': contentSecurityPolicy(nonce),
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    'cache-control': 'no-store',
  };
}

/**
 * `connect-src`: the page speaks to the SFU alone, by websocket, and the relay says at run time where that is. HTTP,
 * and with it the relay, belongs to the main process. WebRTC itself is not covered by this policy.
 * `style-src`: Vuetify writes the colours of the theme into a style element, which carries the nonce.
 */
function contentSecurityPolicy(nonce: string): string {
  return [
    "default-src 'none'",
    `script-src 'self'`,
    `style-src 'self' 'nonce-${nonce}'`,
    "img-src 'self' data:",
    "font-src 'self'",
    "media-src 'self'",
    'connect-src ws: wss:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
}
