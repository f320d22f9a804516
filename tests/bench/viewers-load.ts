/** Viewers of one stream who take whatever comes. Runs beside a benchmark as a helper. */
import type { Id } from '@proofcast/shared';
import { signInAdmin } from './bench-relay.ts';
import { serveHelper } from './helper-process.ts';
import { LoadViewers } from './load-viewers.ts';

const viewers = new LoadViewers();

const handlers = {
  async watch({ url, streamId, count }: { url: string; streamId: Id; count: number }): Promise<void> {
    await viewers.watch(await signInAdmin(url), streamId, count);
  },
};

export type ViewersLoad = typeof handlers;

serveHelper(handlers);
