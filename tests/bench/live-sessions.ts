/**
 * One stream for one viewer, in pages of one browser, by one of the ways from picture to picture: how long it took to
 * the first picture, and how old pictures are after that.
 */
import { createId } from '@proofcast/shared';
import type { LivePage } from '../harness/live-page.ts';
import { LiveWorld } from '../live/live-world.ts';
import { median, percentile, type BenchmarkOptions, type ByEffort } from './benchmark.ts';

/** That are measured in a session. */
export const PICTURES: ByEffort<number> = { quick: 30, usual: 300, long: 900 };
/** Until the estimates of bandwidth and jitter have settled. */
const SETTLE_PICTURES: ByEffort<number> = { quick: 5, usual: 150, long: 150 };
export const PICTURE = { widthPx: 1280, heightPx: 720, framesPerSecond: 30, isRestless: false };

type Effort = BenchmarkOptions['effort'];

export interface LiveSession {
  readonly p50: number;
  readonly p95: number;
  readonly joinMs: number;
}

/** The encoder is off until the viewer comes, who has its page and its signalling open, as on a wall. */
export async function throughSfu(world: LiveWorld, effort: Effort): Promise<LiveSession> {
  const streamId = createId('stream');
  const publisher = await world.publish(streamId, PICTURE);
  const viewer = await world.openPage();
  await world.warmUp(viewer, streamId);
  const joinMs = await world.view(viewer, { streamId });
  const ages = await settledAges(viewer, { streamId, effort });
  await Promise.all([publisher.close(), viewer.close()]);
  return { ...ages, joinMs };
}

/** Its join is from the offer, with everything gathered, to the first picture. */
export async function fromPageToPage(world: LiveWorld, effort: Effort): Promise<LiveSession> {
  const streamId = createId('stream');
  const [sender, receiver] = [await world.openPage(), await world.openPage()];
  const offer = await sender.offerPeer(PICTURE);
  const startedMs = Date.now();
  const answer = await receiver.answerPeer(streamId, offer);
  const shown = receiver.untilFrame(streamId);
  await sender.acceptPeer(answer);
  const joinMs = (await shown) - startedMs;
  const ages = await settledAges(receiver, { streamId, effort });
  await Promise.all([sender.close(), receiver.close()]);
  return { ...ages, joinMs };
}

/** How old the pictures of `page` are, in the middle and at the worst twentieth. */
export async function settledAges(
  page: LivePage,
  { streamId, effort }: { streamId: string; effort: Effort },
): Promise<Pick<LiveSession, 'p50' | 'p95'>> {
  await page.ages(streamId, SETTLE_PICTURES[effort]);
  const ages = await page.ages(streamId, PICTURES[effort]);
  return { p50: median(ages), p95: percentile(ages, 0.95) };
}
