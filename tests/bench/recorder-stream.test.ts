import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WebmScanner } from '@proofcast/shared';
import { concat } from '@proofcast/shared/testing/webm-bytes';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { probeFile } from '../harness/stamp-readers.ts';
import { CLUSTER_MS, RecorderStream } from './recorder-stream.ts';

describe('the stream of a recorder that is not there', () => {
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'proofcast-bench-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('has clusters that begin with a key picture, thirty pictures a second, and the bit rate', () => {
    const bytes = new RecorderStream({ bitsPerSecond: 2_000_000 }).take(10_000);
    const items = new WebmScanner().push(bytes);
    const clusters = items.filter((item) => item.type === 'cluster');
    const blocks = items.filter((item) => item.type === 'block');
    expect(clusters.map(({ timestampMs }) => timestampMs)).toEqual([0, 2000, 4000, 6000, 8000]);
    expect(items.filter((item) => item.type === 'keyCluster')).toHaveLength(clusters.length);
    expect(blocks).toHaveLength(300);
    expect(blocks.at(-1)?.timestampMs).toBe(9967);
    expect((bytes.length * 8) / 10).toBeGreaterThan(1_960_000);
    expect((bytes.length * 8) / 10).toBeLessThan(2_040_000);
  });

  it('is the same whatever slices it is taken in', () => {
    const whole = new RecorderStream({ bitsPerSecond: 500_000 }).take(3 * CLUSTER_MS);
    const sliced = new RecorderStream({ bitsPerSecond: 500_000 });
    const slices = Array.from({ length: 24 }, () => sliced.take(250));
    expect(Buffer.compare(concat(...slices), whole)).toBe(0);
  });

  it('decodes, every picture of it', async () => {
    const path = join(folder, 'stream.webm');
    await writeFile(path, new RecorderStream({ bitsPerSecond: 1_000_000 }).take(6000));
    await expect(probeFile(path)).resolves.toMatchObject({ videoFrames: 180, codec: 'vp8' });
  });
});
