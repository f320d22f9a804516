// One changed byte, anywhere in a sealed recording: it is located, or refused with a coded error. A failing seed is
// printed in the test's title: add it to KEPT_SEEDS with a name.

import { readFile, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { nodeSha256 } from '../../relay/src/node-sha256.ts';
import { SealedFiles } from '../../relay/src/recording/sealed-files.ts';
import { verifyFile } from '../../relay/src/recording/verify-file.ts';
import { JournaledRecording } from '../../relay/testing/journaled-recording.ts';
import { sealFiles, type SealedPaths } from '../../relay/testing/sealed-files.ts';
import { encodeHex } from '../../shared/src/byte-text.ts';
import { CodedError } from '../../shared/src/errors.ts';
import type { RebuildResult } from '../../shared/src/rebuild.ts';
import { freshSeed, seededRandom, type Random } from '../../shared/testing/random.ts';
import { loadWebmClips } from '../../shared/testing/webm-clip.ts';

const KEPT_SEEDS = { 'the first one': 1 };
const SEEDS = [...Object.entries(KEPT_SEEDS), ['fresh', freshSeed()] as const];
const FLIPS_PER_FILE = 40;
const DAMAGES = 120;
const { signal } = new AbortController();

describe.each(SEEDS)('seed: %s (%i)', (_name, seed) => {
  const random = seededRandom(seed);
  let recording: JournaledRecording;
  let paths: SealedPaths;

  beforeAll(async () => {
    recording = await JournaledRecording.create();
    const { startedAtUs } = recording.maker.start;
    for (const [index, clip] of loadWebmClips().entries()) {
      recording.epoch({ startedAtUs: startedAtUs + index * 60_000_000 });
      const torn = clip.bytes.subarray(0, random.integer(20_000, clip.bytes.length));
      recording.media(cutAtRandom(torn, random));
      if (random.fraction() < 0.5)
        recording.event({ type: 'epoch-ended', data: { reason: 'source-changed' } });
    }
    paths = await sealFiles(recording);
    expect(paths.media.length).toBeGreaterThan(2);
  });
  afterAll(() => recording.close());

  const verify = (): Promise<RebuildResult> => verifyFile({ manifestPath: paths.manifest, signal });

  test('[M2] a changed byte of a media file is located to the chunk that has it, or is of the container', async () => {
    const kinds = new Map<string, number>();
    for (const [part, path] of paths.media.entries()) {
      const whole = await readFile(path);
      for (let i = 0; i < FLIPS_PER_FILE; i++) {
        const offset = random.integer(
          0,
          random.fraction() < 0.3 ? Math.min(whole.length, 400) : whole.length,
        );
        await writeFile(path, flipped(whole, offset, random));
        const result = await verify();
        expectLocated(result, { part, offset });
        kinds.set(result.kind, (kinds.get(result.kind) ?? 0) + 1);
      }
      await writeFile(path, whole);
    }
    expect(kinds.get('chunks')).toBeGreaterThan(FLIPS_PER_FILE);
    expect(kinds.get('container')).toBeGreaterThan(10);
    expect((await verify()).kind).toBe('intact');
  });

  test('[M3] a changed byte of the manifest is refused', async () => {
    const whole = await readFile(paths.manifest);
    for (let i = 0; i < DAMAGES; i++) {
      await writeFile(paths.manifest, flipped(whole, random.integer(0, whole.length), random));
      await expect(verify()).rejects.toMatchObject({ code: 'MANIFEST_INVALID' });
    }
    await writeFile(paths.manifest, whole);
  });

  test('[M3] a manifest of which anything was changed, its digest included, is read or refused, and no more', async () => {
    const whole = await readFile(paths.manifest);
    const lines = whole.toString().split('\n').slice(0, -2);
    let refused = 0;
    for (let i = 0; i < DAMAGES; i++) {
      await writeFile(paths.manifest, withDigest(damaged(lines, random)));
      const result = await verify().catch((error: unknown) => error);
      if (result instanceof Error) {
        expect(result).toBeInstanceOf(CodedError);
        expect(result).toMatchObject({ code: 'MANIFEST_INVALID' });
        refused += 1;
      }
    }
    expect(refused).toBeGreaterThan(DAMAGES / 4);
    await writeFile(paths.manifest, whole);
    const files = await SealedFiles.open(paths.manifest);
    await files.close();
  });

  /** The chunk that is named is the one whose bytes lie around `offset`, by the bytes themselves. */
  function expectLocated(result: RebuildResult, { part, offset }: { part: number; offset: number }): void {
    if (result.kind === 'container') return expect(result.parts).toEqual([part]);
    if (result.kind !== 'chunks') throw new Error(`Byte ${offset} of part ${part} is ${result.kind}.`);
    expect(result.differingCount).toBe(1);
    const [differing] = result.differing;
    const chunk = recording.maker.chunks[differing?.sequence ?? -1];
    expect(differing?.place).toMatchObject({ part });
    expect(differing?.place?.start).toBeLessThanOrEqual(offset);
    expect(differing?.place?.end).toBeGreaterThan(offset);
    expect(chunk).toMatchObject({ kind: 'media', epoch: differing?.epoch });
    expect(differing?.toMs).toBe(Math.ceil((chunk?.captureTimeUs ?? 0) / 1000));
  }
});

function cutAtRandom(bytes: Uint8Array, random: Random): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let start = 0; start < bytes.length;) {
    const end = start + random.integer(1, 9000);
    pieces.push(bytes.subarray(start, end));
    start = end;
  }
  return pieces;
}

function flipped(bytes: Uint8Array, offset: number, random: Random): Uint8Array {
  return bytes.with(offset, (bytes[offset] ?? 0) ^ (1 << random.integer(0, 8)));
}

function damaged(lines: readonly string[], random: Random): string[] {
  const at = random.integer(0, lines.length);
  const line = lines[at] ?? '';
  switch (random.integer(0, 5)) {
    case 0:
      return lines.toSpliced(at, 1);
    case 1:
      return lines.toSpliced(at, 0, lines[random.integer(0, lines.length)] ?? '');
    case 2:
      return lines.with(at, line.slice(0, random.integer(0, line.length + 1)));
    case 3:
      return lines.with(at, line.replace(/\d+/, String(random.integer(0, 2 ** 50))));
    default:
      return lines.with(
        at,
        Buffer.from(flipped(Buffer.from(`${line} `), random.integer(0, line.length), random)).toString(),
      );
  }
}

function withDigest(lines: readonly string[]): string {
  const covered = `${lines.join('\n')}\n`;
  return `${covered}"sha256":"${encodeHex(nodeSha256.hash(new TextEncoder().encode(covered)))}"}\n`;
}
