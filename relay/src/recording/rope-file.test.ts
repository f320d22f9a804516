import { hash } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as webm from '@proofcast/shared/testing/webm-bytes';
import { seededRandom } from '@proofcast/shared/testing/random';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { JournaledRecording, ropeBytes } from '../../testing/journaled-recording.ts';
import { writeRopeFile } from './rope-file.ts';
import type { Rope } from './rope.ts';

const KEY = 0x80;

describe('the file of a rope', () => {
  let recording: JournaledRecording;
  let folder: string;

  beforeEach(async () => {
    recording = await JournaledRecording.create();
    folder = join(recording.path, 'files');
    await mkdir(folder);
    // More than one write, and more than one sync on the way.
    const random = seededRandom(5);
    const picture = random.bytes(1_500_000);
    recording.epoch();
    recording.media([webm.initSegment()]);
    for (let n = 0; n < 30; n++) {
      recording.media([webm.openCluster(n * 2000, webm.simpleBlock(1, 0, KEY, picture))]);
    }
    await recording.flush();
  });
  afterEach(() => recording.close());

  const write = (rope: Rope, fields: { path?: string; signal?: AbortSignal } = {}) =>
    writeRopeFile({
      rope,
      temporaryPath: join(folder, 'a.part'),
      path: join(folder, 'a.webm'),
      signal: new AbortController().signal,
      ...fields,
    });

  test('[R9] has the bytes of the rope, and tells their hash', async () => {
    const rope = recording.rope();
    const expected = await ropeBytes(rope);
    await writeFile(join(folder, 'a.part'), 'what an earlier attempt left');
    const { sizeBytes, sha256 } = await write(rope);
    const made = await readFile(join(folder, 'a.webm'));
    expect(made.equals(expected)).toBe(true);
    expect(sizeBytes).toBe(expected.length);
    expect(Buffer.from(sha256).toString('hex')).toBe(hash('sha256', expected));
    expect(await readdir(folder)).toEqual(['a.webm']);
  });

  test('[R9] takes the place of an older one only when it is whole', async () => {
    const path = join(folder, 'a.webm');
    await writeFile(path, 'older');
    const rope = recording.rope();
    const seen: string[] = [];
    async function* readSlowly(ring: readonly Uint8Array[]): AsyncGenerator<readonly Uint8Array[]> {
      for await (const parts of rope.readAll(ring)) {
        if (seen.length < 3) seen.push(await readFile(path, 'utf8'));
        yield parts;
      }
    }
    await write({ ...proxyOf(rope), readAll: readSlowly });
    expect(seen).toEqual(['older', 'older', 'older']);
    expect((await readFile(path)).length).toBe(rope.sizeBytes);
  });

  test('[R9] is not there when the journal cannot be read, the disk refuses, or nobody wants it any more', async () => {
    const rope = recording.rope();
    const failing = async function* (): AsyncGenerator<readonly Uint8Array[]> {
      yield [new Uint8Array(3_000_000)];
      throw new Error('no such disk');
    };
    await expect(write({ ...proxyOf(rope), readAll: failing })).rejects.toMatchObject({
      code: 'STORAGE_FAILED',
    });
    expect(await readdir(folder)).toEqual([]);

    await expect(write(rope, { path: join(folder, 'missing', 'a.webm') })).rejects.toMatchObject({
      code: 'STORAGE_FAILED',
    });
    expect(await readdir(folder)).toEqual([]);

    const stop = new AbortController();
    const stopping = async function* (ring: readonly Uint8Array[]): AsyncGenerator<readonly Uint8Array[]> {
      for await (const parts of rope.readAll(ring)) {
        yield parts;
        stop.abort(new Error('shutting down'));
      }
    };
    const stopped = write({ ...proxyOf(rope), readAll: stopping }, { signal: stop.signal });
    await expect(stopped).rejects.toThrow('shutting down');
    expect(await readdir(folder)).toEqual([]);

    await recording.journal.close();
    await expect(write(rope)).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
    expect(await readdir(folder)).toEqual([]);
  });
});

/** The rope, of which a test replaces the reading. */
function proxyOf(rope: Rope): Rope {
  const { plan, sizeBytes, durationMs, etag } = rope;
  return {
    plan,
    sizeBytes,
    durationMs,
    etag,
    read: (start, end) => rope.read(start, end),
    readAll: (ring) => rope.readAll(ring),
    clusters: (epoch) => rope.clusters(epoch),
  };
}
