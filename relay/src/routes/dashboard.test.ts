import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { rawRequest } from '../../testing/raw-request.ts';
import { startTestRelay, type TestRelay } from '../../testing/test-relay.ts';

const INDEX = '<!doctype html><script nonce="__CSP_NONCE__"></script><style nonce="__CSP_NONCE__"></style>';
const BROWSER = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' };

let directory: string;
let dashboardDir: string;
let test: TestRelay;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'proofcast-dashboard-'));
  dashboardDir = join(directory, 'dist');
  await mkdir(join(dashboardDir, 'assets'), { recursive: true });
  await writeFile(join(dashboardDir, 'index.html'), INDEX);
  await writeFile(join(dashboardDir, 'assets', 'app-1a2b3c.js'), 'export {}');
  await writeFile(join(dashboardDir, 'favicon.svg'), '<svg xmlns="http://www.w3.org/2000/svg"/>');
  await writeFile(join(dashboardDir, '.secret'), 'hidden');
  await writeFile(join(directory, 'outside.txt'), 'outside');
  test = await startTestRelay({ env: { DASHBOARD_DIR: dashboardDir } });
});
afterAll(async () => {
  await test.close();
  await rm(directory, { recursive: true });
});

const get = (path: string, headers: Record<string, string> = BROWSER) => test.client().get(path, { headers });
const policyOf = (response: Response) =>
  Object.fromEntries(
    (response.headers.get('content-security-policy') ?? '').split(';').map((directive) => {
      const [name = '', ...values] = directive.trim().split(' ');
      return [name, values.join(' ')];
    }),
  );

describe('the page', () => {
  it('is answered to every route of the dashboard, never kept, with a nonce of its own', async () => {
    const nonces = new Set<string>();
    for (const path of ['/', '/index.html', '/recordings', '/recordings/rec_1?at=5']) {
      const response = await get(path);
      expect(response.status).toBe(200);
      expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8');
      expect(response.headers.get('cache-control')).toBe('no-cache');
      const nonce = /<script nonce="([^"]+)"/.exec(await response.text())?.[1] ?? '';
      expect(policyOf(response)['script-src']).toBe(`'self' 'nonce-${nonce}'`);
      expect(policyOf(response)['style-src']).toBe(`'self' 'nonce-${nonce}'`);
      nonces.add(nonce);
    }
    expect(nonces.size).toBe(4);
  });

  it('may load from nowhere but here and the SFU', async () => {
    const policy = policyOf(await get('/'));
    expect(policy).toMatchObject({
      'default-src': "'self'",
      'connect-src': "'self' ws://127.0.0.1:8081",
      'img-src': "'self' data: blob:",
      'media-src': "'self' blob:",
      'object-src': "'none'",
      'base-uri': "'none'",
      'frame-ancestors': "'none'",
    });
    expect(JSON.stringify(policy)).not.toContain('unsafe');
  });

  it('may reach the SFU where it is configured to be', async () => {
    const env = { DASHBOARD_DIR: dashboardDir, SFU_URL: 'wss://sfu.example.test/media' };
    const configured = await startTestRelay({ env });
    try {
      const response = await configured.client().get('/', { headers: BROWSER });
      expect(policyOf(response)['connect-src']).toBe("'self' wss://sfu.example.test");
    } finally {
      await configured.close();
    }
  });

  it('is framed by nobody, sniffed by nobody, and asks for no https where there is none', async () => {
    const { headers } = await get('/');
    expect(headers.get('x-frame-options')).toBe('DENY');
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('referrer-policy')).toBe('no-referrer');
    expect(headers.get('strict-transport-security')).toBeNull();
    expect(headers.get('x-powered-by')).toBeNull();
  });

  it('has a policy that a Host header cannot add to', async () => {
    const answer = await rawRequest(test.relay.url, { headers: { Host: 'a.test;script-src *' } });
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(answer).not.toContain('script-src *');
  });
});

describe('files', () => {
  it('with a hash in their name are kept for ever, others are asked for each time', async () => {
    const hashed = await get('/assets/app-1a2b3c.js', {});
    expect(hashed.headers.get('content-type')).toMatch(/^(text|application)\/javascript/);
    expect(hashed.headers.get('cache-control')).toBe('public, max-age=31536000, immutable');
    const plain = await get('/favicon.svg', {});
    expect(plain.headers.get('cache-control')).toBe('no-cache');
    expect(plain.headers.get('etag')).not.toBeNull();
  });

  it.each([
    '/assets/missing.js',
    '/.secret',
    '/%2e%2e/outside.txt',
    '/..%2foutside.txt',
    '/assets/%2e%2e/%2e%2e/outside.txt',
    '/assets',
    '/assets/',
  ])('that are not there, or not for everybody, are missing: %s', async (path) => {
    const response = await get(path, {});
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({ code: 'NOT_FOUND' });
  });

  it('under /api are never answered with a page', async () => {
    const response = await get('/api/nothing');
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({ code: 'NOT_FOUND' });
  });
});

it('says what to do when the dashboard is not built', async () => {
  const unbuilt = await startTestRelay({ env: { DASHBOARD_DIR: join(directory, 'nowhere') } });
  try {
    const response = await unbuilt.client().get('/', { headers: BROWSER });
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('npm run dashboard'),
    });
  } finally {
    await unbuilt.close();
  }
});
