/**
 * The media half in a process of its own, for tests that kill it. Arguments: the data directory and the principals of its
 * peers as JSON. Says on stdout, as JSON, where each of them connects to.
 */
import type { DevicePrincipal, UserPrincipal } from '@proofcast/shared';
import { MediaWorld } from './media-world.ts';

const [dataDir = '', principals = '[]'] = process.argv.slice(2);
const world = await MediaWorld.open({ dataDir });
const urls = (JSON.parse(principals) as (DevicePrincipal | UserPrincipal)[]).map((peer) =>
  world.urlFor(peer),
);
process.stdout.write(`${JSON.stringify(urls)}\n`);
