import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WebmScanner, type Chunk } from '@proofcast/shared';
import { loadWebmClip } from '@proofcast/shared/testing/webm-clip';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ChunkMaker } from '../../testing/chunk-maker.ts';
import { journalFolder } from '../journal/journal-files.ts';
import { JournalReader } from '../journal/journal-reader.ts';
import { Journal } from '../journal/journal.ts';
import { startsOf } from './merge.ts';
import { EpochBytes, planSeal } from './seal-plan.ts';

const VP8 = loadWebmClip('vp8');
const VP9 = loadWebmClip('vp9-opus');
const IDS = { streamId: 'str_00000000000000000000', deviceId: 'dev_00000000000000000000' };

describe('the plan of a sealed file', () => {
  let path: string;

  beforeEach(async () => {
    path = await mkdtemp(join(tmpdir(), 'proofcast-plan-'));
  });
  afterEach(() => rm(path, { recursive: true, force: true }));

  async function journalOf(maker: ChunkMaker): Promise<JournalReader> {
    const folder = journalFolder(path);
    const identity = { ...maker.start, companyId: 'cmp_00000000000000000000' };
    const journal = await Journal.create({
      folder,
      identity,
      chain: new Uint8Array(32),
      nowUs: 0,
      markDirty: () => undefined,
    });
    maker.chunks.forEach((chunk: Chunk) => journal.append({ ...chunk, receivedAtUs: 0 }));
    await journal.end('stopped', 0);
    await journal.close();
    const reader = await JournalReader.open(folder, maker.start.recordingId, [0]);
    if (reader === null) throw new Error('There is no journal.');
    return reader;
  }

  test('[J14] holds of each epoch the bytes up to the end of its last whole block, and what is in them', async () => {
    const maker = new ChunkMaker(IDS);
    const torn = VP8.bytes.subarray(0, 60_000);
    for (const bytes of [torn, new Uint8Array(), VP9.bytes]) {
      maker.epoch();
      for (let at = 0; at < bytes.length; at += 7_000) maker.media(bytes.subarray(at, at + 7_000));
    }
    const reader = await journalOf(maker);
    const plan = await planSeal(reader);
    const blocks = new WebmScanner().push(torn).filter((item) => item.type === 'block');
    expect(plan.chunkCount).toBe(maker.chunks.length);
    expect(plan.epochs).toMatchObject([
      { number: 0, wholeBytes: blocks.at(-1)?.end, videoBlocks: blocks.length },
      { number: 2, wholeBytes: VP9.bytes.length, tracks: [{ codecId: 'A_OPUS' }, { codecId: 'V_VP9' }] },
    ]);

    const bytes = new EpochBytes(reader);
    for (const [index, source] of [torn, VP9.bytes].entries()) {
      const epoch = plan.epochs[index];
      if (epoch === undefined) throw new Error('An epoch is missing.');
      const parts: Uint8Array[] = [];
      for await (const part of bytes.take(epoch)) parts.push(part);
      expect(Buffer.concat(parts).equals(source.subarray(0, epoch.wholeBytes))).toBe(true);
    }
    await reader.close();
  });

  test('[J15] places epochs where the clock of the publisher says, one after the other in any case', async () => {
    const maker = new ChunkMaker(IDS);
    for (const seconds of [0, 20, 21, -500, 60]) {
      maker.epoch({ startedAtUs: maker.start.startedAtUs + seconds * 1_000_000 });
      maker.media(VP8.bytes);
    }
    const reader = await journalOf(maker);
    const { epochs } = await planSeal(reader);
    await reader.close();
    const lengthMs = (epochs[0]?.lastBlockMs ?? 0) + 1;
    expect(startsOf(epochs)).toEqual([0, 20_000, 20_000 + lengthMs, 20_000 + 2 * lengthMs, 60_000]);
  });
});
