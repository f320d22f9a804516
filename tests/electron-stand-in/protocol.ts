/** Test code: the app's handler for its own scheme answers what its pages ask for. */
import type { Page } from 'playwright-core';
import { PAGE_URLS, toAppUrl } from './origins.ts';

type Handler = (request: Request) => Response | Promise<Response>;

const handlers = new Map<string, Handler>();
const standardSchemes = new Set<string>();

export const protocol = {
  registerSchemesAsPrivileged(
    schemes: { scheme: string; privileges?: { standard?: boolean; secure?: boolean } }[],
  ): void {
    for (const { scheme, privileges } of schemes) {
      if (privileges?.standard && privileges.secure) standardSchemes.add(scheme);
    }
  },

  handle(scheme: string, handler: Handler): void {
    // Without these two privileges Electron gives the page no origin and no secure context; here it would have both.
    if (!standardSchemes.has(scheme)) throw new Error(`Register ${scheme} as standard and secure first.`);
    handlers.set(scheme, handler);
  },
};

export async function serveAppPages(page: Page): Promise<void> {
  await page.route(PAGE_URLS, async (route) => {
    const request = route.request();
    const url = toAppUrl(request.url());
    const handler = handlers.get(url.slice(0, url.indexOf(':')));
    if (!handler) return route.abort('failed');
    const response = await handler(
      new Request(url, { method: request.method(), headers: request.headers() }),
    );
    await route.fulfill({
      status: response.status,
      headers: Object.fromEntries(response.headers),
      body: Buffer.from(await response.arrayBuffer()),
    });
  });
}
