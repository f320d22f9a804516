import { open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  CodedError,
  encodeHex,
  type Chunk,
  type Gap,
  type RebuildResult,
  type RebuiltChunk,
} from '@proofcast/shared';
import { afterEach, describe, expect, it } from 'vitest';
import { seededRandom, type Random } from '../../../shared/testing/random.ts';
import { loadWebmClip, loadWebmClips } from '../../../shared/testing/webm-clip.ts';
import {
  audioTrack,
  cluster,
  concat,
  ebmlHeader,
  element,
  info,
  initSegment,
  openCluster,
  openElement,
  simpleBlock,
  tracks,
  unsigned,
  videoTrack,
} from '../../../shared/testing/webm-bytes.ts';
import { JournaledRecording } from '../../testing/journaled-recording.ts';
import { sealFiles } from '../../testing/sealed-files.ts';
import { nodeSha256 } from '../node-sha256.ts';
import { SealedFiles } from './sealed-files.ts';
import { verifyFile } from './verify-file.ts';

const SEC_US = 1_000_000;
const KEY = 0x80;
const { signal } = new AbortController();

let recording: JournaledRecording;
afterEach(() => recording.close());

/** Every other chunk is signed, so that both kinds are there. */
function sign(chunk: Chunk): Chunk {
  const byte = chunk.sequence % 2 === 0 ? 0 : (chunk.sequence % 255) + 1;
  return { ...chunk, signature: chunk.signature.slice().fill(byte) };
}

async function rebuildAll(manifestPath: string): Promise<{ chunks: RebuiltChunk[]; result: RebuildResult }> {
  const files = await SealedFiles.open(manifestPath);
  try {
    const chunks: RebuiltChunk[] = [];
    const rebuilt = files.chunks(signal);
    let next = await rebuilt.next();
    for (; next.done !== true; next = await rebuilt.next()) chunks.push(next.value);
    return { chunks, result: next.value };
  } finally {
    await files.close();
  }
}

/** What was made, as it must come back. */
function expected(chunks: readonly Chunk[]): unknown[] {
  return chunks.map((chunk) => ({
    ...chunk,
    receivedAtUs: chunk.captureTimeUs + 2000,
    signature: encodeHex(chunk.signature),
    payload: encodeHex(chunk.payload),
    sha256: encodeHex(chunk.sha256),
    chain: encodeHex(chunk.chain),
    isIntact: true,
  }));
}

function readable(chunks: readonly RebuiltChunk[]): unknown[] {
  return chunks.map((chunk) => ({
    ...chunk,
    signature: encodeHex(chunk.signature),
    payload: encodeHex(chunk.payload),
    sha256: encodeHex(chunk.sha256),
    chain: encodeHex(chunk.chain),
  }));
}

describe('files and manifest give back the chunks as they were received', () => {
  it.each(loadWebmClips())('[M1] $name, in the slices of its recorder', async ({ slices }) => {
    recording = await JournaledRecording.create();
    recording.epoch();
    recording.media(slices);
    recording.event({ type: 'epoch-ended', data: { reason: 'stopped' } });
    const { chunks, result } = await rebuildAll((await sealFiles(recording)).manifest);
    expect(result).toEqual({ kind: 'intact', chunkCount: recording.maker.chunks.length });
    expect(readable(chunks)).toEqual(expected(recording.maker.chunks));
  });

  it('[M1] signatures, and events down to a byte order mark', async () => {
    recording = await JournaledRecording.create();
    const { maker } = recording;
    maker.epoch({ sourceName: 'Fenêtre "1"\n\u{1f5a5}' });
    for (const slice of loadWebmClip('vp8').slices) maker.media(slice);
    const text = '\ufeff{"type":"capture-stalled","data":{}}';
    const event = maker.draft({ kind: 'event', payload: new TextEncoder().encode(text) });
    const signed = [...maker.chunks, event].map(sign);
    for (const chunk of signed) recording.add(chunk);
    const { chunks, result } = await rebuildAll((await sealFiles(recording)).manifest);
    expect(result.kind).toBe('intact');
    expect(readable(chunks)).toEqual(expected(signed));
  });

  it('[M1] two epochs in one file, one in another, and one without a picture', async () => {
    recording = await severalEpochs();
    const { manifest, media } = await sealFiles(recording);
    expect(media).toHaveLength(2);
    const { chunks, result } = await rebuildAll(manifest);
    expect(result).toEqual({ kind: 'intact', chunkCount: recording.maker.chunks.length });
    expect(readable(chunks)).toEqual(expected(recording.maker.chunks));
  });

  it('[M1] no part at all: the manifest alone holds a recording without a picture', async () => {
    recording = await JournaledRecording.create();
    recording.epoch();
    recording.media([loadWebmClip('vp9').bytes.subarray(0, 200)]);
    const { manifest, media } = await sealFiles(recording);
    expect(media).toEqual([]);
    expect(readable((await rebuildAll(manifest)).chunks)).toEqual(expected(recording.maker.chunks));
  });

  it.each([1, 2, 3])('[M1] whatever stands between the pictures, cut anywhere (seed %i)', async (seed) => {
    const random = seededRandom(seed);
    for (const stream of oddStreams()) {
      recording = await JournaledRecording.create();
      recording.epoch({ hasAudio: true });
      recording.media(
        cutAtRandom(stream.subarray(0, random.integer(stream.length - 20, stream.length)), random),
      );
      const { manifest, media } = await sealFiles(recording);
      expect(media).toHaveLength(1);
      const { chunks, result } = await rebuildAll(manifest);
      expect(result.kind).toBe('intact');
      expect(readable(chunks)).toEqual(expected(recording.maker.chunks));
      await recording.close();
    }
  });
});

describe('a changed byte', () => {
  it('[M2] of a picture is located: chunk, epoch, time of capture and place in the file', async () => {
    recording = await severalEpochs();
    const { manifest, media } = await sealFiles(recording);
    const { maker } = recording;
    const chunk = maker.chunks.findLast(({ payload, epoch }) => payload.length > 1000 && epoch === 1);
    const before = maker.chunks[(chunk?.sequence ?? 0) - 1];
    if (chunk === undefined || before === undefined) throw new Error('There is no such chunk.');
    const whole = await readFile(media[0] ?? '');
    const picture = Buffer.from(chunk.payload.subarray(-200, -100));
    // The other epoch shows the same.
    const offset = whole.lastIndexOf(picture) + 50;
    await flip(media[0] ?? '', offset);
    const result = await verifyFile({ manifestPath: manifest, signal });
    expect(result).toMatchObject({ kind: 'chunks', differingCount: 1, chunkCount: maker.chunks.length });
    const [differing] = result.kind === 'chunks' ? result.differing : [];
    expect(differing).toMatchObject({
      sequence: chunk.sequence,
      epoch: 1,
      fromMs: Math.floor(before.captureTimeUs / 1000),
      toMs: Math.ceil(chunk.captureTimeUs / 1000),
      place: { part: 0 },
    });
    expect(differing?.place?.start).toBeLessThanOrEqual(offset);
    expect(differing?.place?.end).toBeGreaterThan(offset);
  });

  it('[M2] of what the relay put around the pictures is the container, all chunks being whole', async () => {
    recording = await severalEpochs();
    const { manifest, media } = await sealFiles(recording);
    const clusterId = Buffer.from([0x1f, 0x43, 0xb6, 0x75]);
    const whole = await readFile(media[1] ?? '');
    for (const offset of [0, 40, whole.indexOf(clusterId, 200) + 6, whole.lastIndexOf(clusterId) + 15]) {
      await flip(media[1] ?? '', offset);
      expect(await verifyFile({ manifestPath: manifest, signal })).toMatchObject({
        kind: 'container',
        parts: [1],
      });
      await flip(media[1] ?? '', offset);
    }
    expect(await verifyFile({ manifestPath: manifest, signal })).toMatchObject({ kind: 'intact' });
  });

  it('[M2] a file that is cut short, longer, exchanged or missing loses its own chunks and no other', async () => {
    recording = await severalEpochs();
    const { manifest, media } = await sealFiles(recording);
    const { maker } = recording;
    const [first = '', second = ''] = media;
    const verify = () => verifyFile({ manifestPath: manifest, signal });
    const whole = await readFile(first);

    await writeFile(first, whole.subarray(0, -10));
    expect(await verify()).toMatchObject({ kind: 'chunks', differingCount: 1, differing: [{ epoch: 1 }] });
    await writeFile(first, Buffer.concat([whole, Buffer.from([0])]));
    expect(await verify()).toMatchObject({ kind: 'container', parts: [0] });
    await writeFile(first, await readFile(second));
    expect(epochsOf(await verify())).toEqual(new Set([0, 1]));
    await rm(first);
    const missing = await verify();
    expect(epochsOf(missing)).toEqual(new Set([0, 1]));
    const media01 = maker.chunks.filter(({ kind, epoch }) => kind === 'media' && epoch <= 1);
    expect(missing).toMatchObject({ differingCount: media01.length });
  });
});

describe('a changed manifest', () => {
  it('[M3] is refused, whichever byte it is', async () => {
    recording = await severalEpochs();
    const { manifest } = await sealFiles(recording);
    const whole = await readFile(manifest);
    const random = seededRandom(7);
    const offsets = [
      0,
      whole.length - 1,
      whole.length - 40,
      ...Array.from({ length: 60 }, () => random.integer(0, whole.length)),
    ];
    for (const offset of offsets) {
      await flip(manifest, offset);
      await expect(verifyFile({ manifestPath: manifest, signal })).rejects.toMatchObject({
        code: 'MANIFEST_INVALID',
      });
      await flip(manifest, offset);
    }
    for (const length of [0, 50, 1000, whole.length - 1]) {
      await writeFile(manifest, whole.subarray(0, length));
      await expect(verifyFile({ manifestPath: manifest, signal })).rejects.toMatchObject({
        code: 'MANIFEST_INVALID',
      });
    }
  });

  it('[M3] with a digest that is right again, is refused or located wherever the chain covers it', async () => {
    recording = await severalEpochs();
    const { manifest } = await sealFiles(recording);
    const lines = (await readFile(manifest, 'utf8')).split('\n');
    let tried = 0;
    for (const [index, line] of lines.entries()) {
      for (const changed of changesOf(line)) {
        await writeFile(manifest, withDigest(lines.with(index, changed)));
        const result = await verifyFile({ manifestPath: manifest, signal }).catch((error: unknown) => error);
        const isNoticed =
          result instanceof CodedError ? result.code === 'MANIFEST_INVALID' : !isIntact(result);
        expect({ changed, isNoticed }).toEqual({ changed, isNoticed: true });
        tried += 1;
      }
    }
    expect(tried).toBeGreaterThan(100);
  });

  it('[M3] names no file outside of its own folder', async () => {
    recording = await severalEpochs();
    const { manifest } = await sealFiles(recording);
    const text = await readFile(manifest, 'utf8');
    for (const name of ['../r-0.webm', '/etc/hostname', '.hidden', 'a/b.webm', '']) {
      await writeFile(manifest, withDigest(text.replace('"r-0.webm"', JSON.stringify(name)).split('\n')));
      await expect(SealedFiles.open(manifest)).rejects.toMatchObject({ code: 'MANIFEST_INVALID' });
    }
  });

  it('[M3] of a later version is not read', async () => {
    recording = await severalEpochs();
    const { manifest } = await sealFiles(recording);
    const text = await readFile(manifest, 'utf8');
    await writeFile(manifest, withDigest(text.replace('"version":1', '"version":2').split('\n')));
    await expect(SealedFiles.open(manifest)).rejects.toMatchObject({ code: 'MANIFEST_INVALID' });
  });

  it('[M3] that is missing is a failure of the storage', async () => {
    recording = await severalEpochs();
    await expect(SealedFiles.open(join(recording.path, 'none'))).rejects.toMatchObject({
      code: 'STORAGE_FAILED',
    });
  });
});

describe('writing', () => {
  it('[M4] gives valid JSON with one item a line, its own SHA-256 in the last', async () => {
    recording = await severalEpochs();
    const gaps: Gap[] = [
      { fromMs: 1, toMs: 2, reason: 'paused' },
      { fromMs: 3, toMs: 4, reason: 'policy' },
    ];
    const { manifest } = await sealFiles(recording, { gaps });
    const text = await readFile(manifest, 'utf8');
    const value = JSON.parse(text) as { items: unknown[]; gaps: unknown; parts: unknown[]; sha256: string };
    expect(value).toMatchObject({ format: 'proofcast-manifest', version: 1, gaps, endReason: 'stopped' });
    const lines = text.split('\n');
    const first = lines.indexOf('"items":[') + 1;
    const items = lines
      .slice(first, first + value.items.length)
      .map((line) => JSON.parse(line.replace(/,$/, '')) as unknown);
    expect(items).toEqual(value.items);
    expect(value.sha256).toBe(sha256Hex(text.slice(0, text.indexOf('"sha256":"' + value.sha256))));
    const files = await SealedFiles.open(manifest);
    expect(files.manifest.head).toMatchObject({ gaps, recording: recording.journal.identity });
    await files.close();
    await files.close();
  });

  it('[M4] that fails leaves no manifest, and none that was there is lost', async () => {
    recording = await severalEpochs();
    const { manifest, folder } = await sealFiles(recording);
    const whole = await readFile(manifest);
    await expect(sealFiles(recording, { chunkCount: 100_000 })).rejects.toMatchObject({
      code: 'STORAGE_FAILED',
    });
    expect(await readFile(manifest)).toEqual(whole);
    expect(await readdir(folder)).toEqual(['r-0.webm', 'r-1.webm', 'r.manifest.json']);
    await rm(manifest);
    await expect(sealFiles(recording, { lastChain: '0'.repeat(64) })).rejects.toMatchObject({
      code: 'STORAGE_FAILED',
    });
    await expect(readFile(manifest)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('[M5] refuses a journal whose chain is broken', async () => {
    recording = await JournaledRecording.create();
    recording.epoch();
    recording.media(loadWebmClip('vp8').slices.slice(0, 2));
    const [wrong] = recording.maker.media(loadWebmClip('vp8').slices[2] ?? new Uint8Array());
    if (wrong === undefined) throw new Error('There is no chunk.');
    recording.add({ ...wrong, captureTimeUs: wrong.captureTimeUs + 1 });
    await expect(sealFiles(recording)).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
  });

  it('[M4] and verifying end when they are told to', async () => {
    recording = await severalEpochs();
    const { manifest } = await sealFiles(recording);
    const reason = new Error('stopped by the test');
    await expect(verifyFile({ manifestPath: manifest, signal: AbortSignal.abort(reason) })).rejects.toBe(
      reason,
    );
  });
});

/** Epochs 0 and 1 fit into one file, 2 has no picture, 3 has other tracks; 1 and 3 end torn. */
async function severalEpochs(): Promise<JournaledRecording> {
  const made = await JournaledRecording.create();
  const startedAtUs = made.maker.start.startedAtUs;
  const [first, second] = [loadWebmClip('vp8'), loadWebmClip('vp8-opus')];
  made.epoch({ startedAtUs });
  made.media(first.slices.slice(0, 4));
  made.event({ type: 'epoch-ended', data: { reason: 'recorder-restarted' } });
  made.epoch({ startedAtUs: startedAtUs + 30 * SEC_US });
  made.media(first.slices.slice(0, 3));
  made.event({ type: 'capture-stalled', data: {} });
  made.media([(first.slices[3] ?? new Uint8Array()).subarray(0, 777)]);
  made.epoch({ startedAtUs: startedAtUs + 60 * SEC_US });
  made.media([first.bytes.subarray(0, 150), first.bytes.subarray(150, 260)]);
  made.epoch({ startedAtUs: startedAtUs + 90 * SEC_US, hasAudio: true });
  made.media([...second.slices.slice(0, 5), (second.slices[5] ?? new Uint8Array()).subarray(0, 99)]);
  return made;
}

/** Streams that no recorder makes, and that the scanner accepts nevertheless. */
function* oddStreams(): Generator<Uint8Array> {
  const picture = simpleBlock(1, 0, KEY, new Uint8Array(3000).fill(7));
  const later = simpleBlock(1, 40, 0, new Uint8Array(500).fill(8));
  const sound = simpleBlock(2, 10, KEY, new Uint8Array(90).fill(9));
  const padding = (length: number) => element(0xec, new Uint8Array(length).fill(length % 256));
  const tags = element(0x1254c367, new Uint8Array(33).fill(1));
  const clusters = [
    openCluster(0, picture, sound),
    tags,
    // Elements before the timestamp belong to the header that the file replaces.
    openElement(0x1f43b675, padding(5), unsigned(0xab, 77), unsigned(0xe7, 1000), picture, padding(2), later),
    // More of it than one item of the manifest holds.
    padding(130_000),
    openCluster(2000),
    openCluster(3000, sound),
    openElement(0x1f43b675, padding(60_000), unsigned(0xe7, 4000), picture, later),
    openCluster(5000, picture, sound, later),
  ];
  yield concat(initSegment(), ...clusters);
  const known = [
    cluster(0, picture),
    padding(9),
    cluster(1000, picture, later),
    tags,
    cluster(2000, sound),
    tags,
  ];
  yield concat(
    ebmlHeader(),
    element(0x18538067, info(), tracks(videoTrack(), audioTrack()), ...known),
    padding(4),
  );
}

function cutAtRandom(bytes: Uint8Array, random: Random): Uint8Array[] {
  const largest = random.pick([40, 900, 20_000, 300_000]);
  const pieces: Uint8Array[] = [];
  for (let start = 0; start < bytes.length;) {
    const end = start + random.integer(1, largest);
    pieces.push(bytes.subarray(start, end));
    start = end;
  }
  return pieces;
}

async function flip(path: string, offset: number): Promise<void> {
  const file = await open(path, 'r+');
  try {
    const { buffer } = await file.read(Buffer.alloc(1), 0, 1, offset);
    await file.write(Buffer.of((buffer[0] ?? 0) ^ 0x04), 0, 1, offset);
  } finally {
    await file.close();
  }
}

/** The line with each of its covered numbers and strings changed, one at a time. */
function* changesOf(line: string): Generator<string> {
  const comma = line.endsWith(',') ? ',' : '';
  const text = comma === '' ? line : line.slice(0, -1);
  if (text.startsWith('["')) {
    const item = JSON.parse(text) as unknown[];
    // The time of receipt is the relay's own, and where an epoch lies in its file is for players.
    const uncovered = item[0] === 'epoch' ? [3] : [2];
    const isChunk = item[0] === 'media' || item[0] === 'event';
    for (const [place, value] of item.entries()) {
      if (place === 0 || (uncovered.includes(place) && (isChunk || item[0] === 'epoch'))) continue;
      // Signatures are checked with the key of the device, elsewhere.
      if (isChunk && place === item.length - 1) continue;
      yield JSON.stringify(item.with(place, changeOf(value))) + comma;
    }
    return;
  }
  if (text.startsWith('"recording"')) yield line.replace(/"startedAtUs":(\d+)/, '"startedAtUs":1$1');
  if (text.startsWith('{"file"')) {
    yield line.replace(/"sizeBytes":(\d+)/, '"sizeBytes":1$1');
    yield line.replace(/"sha256":"./, (found) =>
      found.endsWith('0') ? found.replace(/.$/, '1') : found.replace(/.$/, '0'),
    );
  }
  if (text.startsWith('"endReason"')) {
    yield line.replace(/"chunkCount":(\d+)/, '"chunkCount":1$1');
    yield line.replace(/"lastChain":"../, (found) =>
      found.replace(/..$/, found.endsWith('00') ? '11' : '00'),
    );
  }
}

function changeOf(value: unknown): unknown {
  if (typeof value === 'number') return value + 1;
  if (typeof value !== 'string') return 0;
  const middle = Math.floor(value.length / 2);
  return `${value.slice(0, middle)}${value[middle] === 'A' ? 'B' : 'A'}${value.slice(middle + 1)}`;
}

function withDigest(lines: readonly string[]): string {
  const covered = `${lines
    .slice(
      0,
      lines.findLastIndex((line) => line.startsWith('"sha256":')),
    )
    .join('\n')}\n`;
  return `${covered}"sha256":"${sha256Hex(covered)}"}\n`;
}

function sha256Hex(text: string): string {
  return encodeHex(nodeSha256.hash(new TextEncoder().encode(text)));
}

function isIntact(result: unknown): boolean {
  return typeof result === 'object' && result !== null && 'kind' in result && result.kind === 'intact';
}

function epochsOf(result: RebuildResult): Set<number> {
  return new Set(result.kind === 'chunks' ? result.differing.map(({ epoch }) => epoch) : []);
}
