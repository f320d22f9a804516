/**
 * Derivatives in a process of their own, for tests that kill it. Arguments: the data directory, the ffmpeg, and the
 * company and the recording of which it makes an MP4.
 */
import { DerivativeWorld } from './derivative-world.ts';

const [dataDir = '', ffmpegPath = '', companyId = '', recordingId = ''] = process.argv.slice(2);
const world = await DerivativeWorld.open({ dataDir, ffmpegPath });
world.derivatives.start();
await world.derivatives.request(companyId, recordingId, 'mp4');
