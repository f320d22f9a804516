import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, afterEach, describe, expect, it } from 'vitest';
import { publishRecording } from '../../testing/publish-recording.ts';
import { TestDevice } from '../../testing/test-device.ts';
import { startTestRelay } from '../../testing/test-relay.ts';

const PROOFCAST = join(import.meta.dirname, '../proofcast.ts');

/** What a real relay has made of a real recording. */
let sealed: { readonly folder: string; readonly recordingId: string };
/** A copy of it to be spoilt. */
let folder: string;
let media: string;
let manifest: string;

beforeAll(async () => {
  const kept = await mkdtemp(join(tmpdir(), 'proofcast-sealed-'));
  const test = await startTestRelay({ env: { MIN_FREE_BYTES: '0', WARN_FREE_BYTES: '0' } });
  const device = await TestDevice.enrol(await test.signInAdmin());
  const recordingId = await publishRecording({ device, client: test.client() });
  await test.relay.media.whenSealed();
  const root = join(test.dataDir, 'recordings');
  for (const name of await readdir(root, { recursive: true })) {
    if (/\.(webm|manifest\.json)$/.test(name))
      await copyFile(join(root, name), join(kept, name.split('/').at(-1)!));
  }
  await test.close();
  sealed = { folder: kept, recordingId };
});
afterAll(() => rm(sealed.folder, { recursive: true, force: true }));

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'proofcast-verify-'));
  for (const name of await readdir(sealed.folder)) {
    await copyFile(join(sealed.folder, name), join(folder, name));
    if (name.endsWith('.webm')) media = join(folder, name);
    else manifest = join(folder, name);
  }
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function verify(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const child = spawn(process.execPath, [PROOFCAST, 'verify', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [out, err] = ['', ''];
  child.stdout.on('data', (part: Buffer) => (out += part.toString()));
  child.stderr.on('data', (part: Buffer) => (err += part.toString()));
  const [code] = (await once(child, 'close')) as [number];
  return { code, out, err };
}

async function flip(path: string, at: number): Promise<void> {
  const bytes = await readFile(path);
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  await writeFile(path, bytes);
}

describe('verify', () => {
  it('[O11] says that a recording is whole, also under another name and with the manifest elsewhere', async () => {
    const { recordingId } = sealed;
    expect(await verify(media)).toEqual({
      code: 0,
      out: expect.stringContaining(`Whole: ${recordingId}`) as string,
      err: '',
    });
    const renamed = join(folder, 'evidence.webm');
    await rename(media, renamed);
    const { code, out } = await verify(renamed, manifest, '--json');
    expect([code, JSON.parse(out)]).toEqual([0, { kind: 'intact', chunkCount: 4 }]);
  });

  it('[O11] says which chunk one changed bit is in, hence which seconds and bytes of which file', async () => {
    const bytes = await readFile(media);
    const at = bytes.length - 1_000;
    await flip(media, at);
    const { code, out } = await verify(media, '--json');
    const result = JSON.parse(out) as {
      kind: string;
      differing: { sequence: number; place: { start: number; end: number } }[];
    };
    expect([code, result.kind, result.differing.length]).toEqual([2, 'chunks', 1]);
    const [{ sequence, place }] = result.differing as [(typeof result.differing)[number]];
    expect(sequence).toBe(3);
    expect(at).toBeGreaterThanOrEqual(place.start);
    expect(at).toBeLessThan(place.end);
    const told = await verify(media);
    expect(told).toMatchObject({ code: 2, err: '' });
    expect(told.out).toMatch(/^NOT what was recorded: 1 of 4 chunks/);
    expect(told.out).toMatch(
      new RegExp(
        `chunk 3 of epoch 0, .*: seconds [\\d.]+ to [\\d.]+ of \\S+\\.webm, bytes ${place.start} to ${place.end}`,
      ),
    );
  });

  it('[O11] tells bytes that the relay put around the recording from the recording', async () => {
    // In the doctype of the EBML header, which is ours.
    const bytes = await readFile(media);
    await flip(media, bytes.indexOf('webm'));
    const { code, out } = await verify(media);
    expect([code, out]).toEqual([1, expect.stringContaining('Recorded bytes whole')]);
  });

  it('[O11] finds what is missing at the end', async () => {
    const bytes = await readFile(media);
    await writeFile(media, bytes.subarray(0, bytes.length / 2));
    expect((await verify(media)).code).toBe(2);
  });

  it('[O11] ends with 3 when there is nothing to compare', async () => {
    const missing = await verify(join(folder, 'nothing.webm'));
    expect([missing.code, missing.out]).toEqual([3, '']);
    expect(missing.err).toContain('ENOENT');
    await flip(manifest, Math.floor((await stat(manifest)).size / 2));
    const changed = await verify(media);
    expect([changed.code, changed.out]).toEqual([3, '']);
    await rm(manifest);
    expect((await verify(media)).code).toBe(3);
    expect((await verify()).err).toContain('Usage');
  });
});
