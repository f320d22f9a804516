/**
 * Serves the built dashboard: files as they are, and its index.html for every other page of the browser, since those are
 * the dashboard's own routes. Holds the Content-Security-Policy of the pages.
 */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FastifyHelmetOptions } from '@fastify/helmet';
import { CodedError } from '@proofcast/shared';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { answerNotFound, pathOf } from './error-handler.ts';
import { sfuUrlFor, type SfuAddress } from './sfu-address.ts';

/** What index.html holds in place of the nonce of one response. */
const NONCE_PLACEHOLDER = '__CSP_NONCE__';
/** Files in here have the hash of their content in their name. */
const HASHED_ASSETS = '/assets/';

export interface DashboardOptions {
  readonly directory: string;
  readonly sfu: SfuAddress;
}

export function serveDashboard(app: FastifyInstance, { directory, sfu }: DashboardOptions): void {
  const sendPage = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const nonce = randomBytes(16).toString('base64');
    void reply.helmet({ contentSecurityPolicy: pagePolicy({ nonce, sfuUrl: sfuUrlFor(request, sfu) }) });
    return reply
      .type('text/html; charset=utf-8')
      .header('cache-control', 'no-cache')
      .send((await readIndex(directory)).replaceAll(NONCE_PLACEHOLDER, nonce));
  };

  app.get('/*', { config: { access: 'public' } }, async (request, reply) => {
    const path = pathOf(request);
    if (path === '/' || path === '/index.html') return sendPage(request, reply);
    const isHashed = path.startsWith(HASHED_ASSETS);
    void reply.header('cache-control', isHashed ? 'public, max-age=31536000, immutable' : 'no-cache');
    return reply.sendFile(decodeURI(path), directory, {
      index: false,
      dotfiles: 'ignore',
      cacheControl: false,
    });
  });

  app.setNotFoundHandler(async (request, reply) =>
    isPage(request) ? sendPage(request, reply) : answerNotFound(request, reply),
  );
}

/** Whether a person opens a page, as opposed to a program that asks for something. */
function isPage({ method, headers, url }: FastifyRequest): boolean {
  const isReading = method === 'GET' || method === 'HEAD';
  return isReading && !/^\/(api|\.well-known)\//.test(url) && (headers.accept ?? '').includes('text/html');
}

async function readIndex(directory: string): Promise<string> {
  try {
    return await readFile(join(directory, 'index.html'), 'utf8');
  } catch (cause) {
    throw new CodedError(
      'UNAVAILABLE',
      'The dashboard is not built: run "npm run dashboard", or set DASHBOARD_DIR to where it was built.',
      { cause },
    );
  }
}

/** CSP Level 3. Scripts and styles come from here, or carry the nonce: the component library adds one style element. */
function pagePolicy({
  nonce,
  sfuUrl,
}: {
  nonce: string;
  sfuUrl: string;
}): NonNullable<FastifyHelmetOptions['contentSecurityPolicy']> {
  return {
    useDefaults: false,
    directives: {
      defaultSrc: ["'self'"],
      connectSrc: ["'self'", new URL(sfuUrl).origin],
      imgSrc: ["'self'", 'data:', 'blob:'],
      mediaSrc: ["'self'", 'blob:'],
      scriptSrc: ["'self'", `'nonce-${nonce}'`],
      styleSrc: ["'self'", `'nonce-${nonce}'`],
      objectSrc: ["'none'"],
      baseUri: ["'none'"],
      formAction: ["'self'"],
      frameAncestors: ["'none'"],
    },
  };
}
