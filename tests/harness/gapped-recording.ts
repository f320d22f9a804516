/** What a publisher has sent that was paused, changed its source and crashed, made of real clips. */
import type { ChunkMaker } from '../../relay/testing/chunk-maker.ts';
import { loadWebmClip, type WebmClipName } from '@proofcast/shared/testing/webm-clip';

interface Epoch {
  readonly clip: WebmClipName;
  /** Seconds from the start of the recording. */
  readonly atS: number;
  readonly sourceName: string;
}

const ENTIRE_SCREEN: Epoch = { clip: 'vp8', atS: 0, sourceName: 'Entire screen' };
const AFTER_PAUSE: Epoch = { clip: 'vp8', atS: 40, sourceName: 'Entire screen' };
const WITH_SOUND: Epoch = { clip: 'vp8-opus', atS: 70, sourceName: 'Window of a call' };
const AFTER_CRASH: Epoch = { clip: 'vp8-opus', atS: 90, sourceName: 'Window of a call' };

/** One file with a pause in it, and behind it another one, because there is sound from then on, with a crash in it. */
export function makeGaps(maker: ChunkMaker): void {
  addEpoch(maker, ENTIRE_SCREEN);
  maker.event({ type: 'paused', data: { reason: 'person' } });
  addEpoch(maker, AFTER_PAUSE);
  maker.event({ type: 'epoch-ended', data: { reason: 'source-changed' } });
  addEpoch(maker, WITH_SOUND);
  addEpoch(maker, AFTER_CRASH);
  maker.event({ type: 'epoch-ended', data: { reason: 'stopped' } });
}

function addEpoch(maker: ChunkMaker, { clip, atS, sourceName }: Epoch): void {
  const { slices, mimeType } = loadWebmClip(clip);
  const startedAtUs = maker.start.startedAtUs + atS * 1_000_000;
  maker.epoch({ startedAtUs, sourceName, mimeType, hasAudio: mimeType.includes('opus') });
  for (const slice of slices) maker.media(slice);
}
