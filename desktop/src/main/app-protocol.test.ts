import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { APP_ORIGIN } from '../ipc.ts';
import { createAppProtocol, NONCE_PLACEHOLDER } from './app-protocol.ts';

let directory: string;
let serve: (request: Request) => Promise<Response>;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'proofcast-pages-'));
  await mkdir(join(directory, 'pages', 'assets'), { recursive: true });
  await writeFile(join(directory, 'pages', 'index.html'), `<style nonce="${NONCE_PLACEHOLDER}"></style>`);
  await writeFile(join(directory, 'pages', 'assets', 'index.js'), 'run()');
  await writeFile(join(directory, 'secret.txt'), 'secret');
  serve = await createAppProtocol(join(directory, 'pages'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const get = (path: string) => serve(new Request(`${APP_ORIGIN}${path}`));

describe('the pages of the app', () => {
  it('are served with their type', async () => {
    const script = await get('/assets/index.js?v=1');
    expect(script.status).toBe(200);
    expect(script.headers.get('content-type')).toBe('text/javascript; charset=utf-8');
    expect(await script.text()).toBe('run()');
  });

  it('carry a nonce that is new each time and the same in page and policy', async () => {
    const [first, second] = [await get('/index.html'), await get('/index.html')];
    const nonce = /nonce="([^"]+)"/.exec(await first.text())?.[1];
    expect(nonce).toHaveLength(24);
    expect(first.headers.get('content-security-policy')).toContain(`'nonce-${nonce}'`);
    expect(await second.text()).not.toContain(nonce);
  });

  it('have a policy without inline code, code from text, or code from elsewhere', async () => {
    const policy = (await get('/index.html')).headers.get('content-security-policy')!;
    expect(policy).toContain("default-src 'none'; script-src 'self';");
    expect(policy).not.toMatch(/unsafe|http:|https:|\*/);
  });

  it.each([
    '/',
    '/none.html',
    '/../secret.txt',
    '/%2e%2e/secret.txt',
    '/..%2fsecret.txt',
    '/assets',
    '/assets/',
  ])('%s is not found', async (path) => {
    const response = await get(path);
    expect(response.status).toBe(404);
    expect(await response.text()).not.toContain('secret');
  });

  it('are not found under another host, nor by another method', async () => {
    expect((await serve(new Request('app://other/index.html'))).status).toBe(404);
    expect((await serve(new Request(`${APP_ORIGIN}/index.html`, { method: 'POST' }))).status).toBe(404);
  });

  it('cannot be served when they were not built', async () => {
    await expect(createAppProtocol(join(directory, 'none'))).rejects.toThrow('ENOENT');
  });
});
