import { createHash, hash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { byteSource } from '../testing/byte-source.ts';
import { encodeHex } from './byte-text.ts';
import { chainInput, encodeStartRecord } from './chain.ts';
import { EMPTY_SIGNATURE, encodeChunkHead, MAX_CHUNK_PAYLOAD_BYTES } from './chunk-frame.ts';
import type { Sha256 } from './hashing.ts';
import { createId } from './ids.ts';
import { openManifest } from './manifest-reader.ts';
import {
  ManifestEncoder,
  MAX_MANIFEST_LINE_BYTES,
  type ManifestHead,
  type ManifestItem,
} from './manifest.ts';
import { MAX_REPORTED_CHUNKS, rebuild, type RebuildResult, type RebuiltChunk } from './rebuild.ts';

const sha256: Sha256 = {
  hash: (bytes) => hash('sha256', bytes, 'buffer'),
  begin() {
    const running = createHash('sha256');
    return { update: (bytes) => void running.update(bytes), digest: () => running.digest() };
  },
};

const FILE = Uint8Array.from({ length: 1000 }, (_, index) => index % 251);
const RECORDING = {
  recordingId: createId('recording'),
  companyId: createId('company'),
  streamId: createId('stream'),
  deviceId: createId('device'),
  startedAtUs: 1_790_000_000_000_000,
};

const epoch = (number: number, part: number | null = 0): ManifestItem => ({
  type: 'epoch',
  number,
  part,
  fileStartMs: part === null ? null : 0,
});
const file = (offset: number, length: number): ManifestItem => ({ type: 'file', offset, length });
const own = (...bytes: number[]): ManifestItem => ({ type: 'own', bytes: Uint8Array.from(bytes) });
const proof = (payload: Uint8Array, atSec: number) => ({
  captureTimeUs: RECORDING.startedAtUs + atSec * 1e6,
  receivedAtUs: RECORDING.startedAtUs + atSec * 1e6 + 5,
  sha256: sha256.hash(payload),
  signature: EMPTY_SIGNATURE,
});
const media = (payload: Uint8Array, atSec = 0): ManifestItem => ({
  type: 'media',
  payloadBytes: payload.length,
  ...proof(payload, atSec),
});
const event = (text: string): ManifestItem => {
  const payload = new TextEncoder().encode(text);
  return { type: 'event', payload, ...proof(payload, 0) };
};
const bytes = (start: number, end: number): Uint8Array => FILE.subarray(start, end);

/** A manifest with these items, whose head fits them. */
function manifestOf(items: readonly ManifestItem[], fields: Partial<ManifestHead> = {}): Uint8Array {
  let chain = sha256.hash(encodeStartRecord(RECORDING));
  let sequence = 0;
  let number = 0;
  for (const item of items) {
    if (item.type === 'epoch') number = item.number;
    if (item.type !== 'media' && item.type !== 'event') continue;
    const payloadBytes = item.type === 'media' ? item.payloadBytes : item.payload.length;
    const { type: kind, captureTimeUs } = item;
    const head = encodeChunkHead({ kind, epoch: number, sequence, captureTimeUs, payloadBytes });
    chain = sha256.hash(chainInput(chain, head, item.sha256));
    sequence += 1;
  }
  const encoder = new ManifestEncoder(sha256.begin());
  const head: ManifestHead = {
    recording: RECORDING,
    endReason: null,
    isComplete: false,
    chunkCount: sequence,
    lastChain: encodeHex(chain),
    sealedAtMs: 1,
    parts: [part()],
    gaps: [],
    ...fields,
  };
  const parts = [encoder.begin(head), ...items.map((item) => encoder.item(item)), encoder.end()];
  return Buffer.concat(parts);
}

function part(name = 'a.webm'): ManifestHead['parts'][number] {
  const digest = encodeHex(sha256.hash(FILE));
  return { file: name, sizeBytes: FILE.length, sha256: digest, startsAtUs: 0, durationMs: 0 };
}

async function rebuildAll(
  manifestBytes: Uint8Array,
  { files = [FILE] }: { files?: Uint8Array[] } = {},
): Promise<{ chunks: RebuiltChunk[]; result: RebuildResult }> {
  const manifest = await openManifest(byteSource(manifestBytes), sha256);
  const parts = files.map((content) => byteSource(content));
  const chunks: RebuiltChunk[] = [];
  const rebuilt = rebuild({ manifest, parts, sha256 });
  let next = await rebuilt.next();
  for (; next.done !== true; next = await rebuilt.next()) chunks.push(next.value);
  return { chunks, result: next.value };
}

describe('rebuilding', () => {
  it('[M1] puts chunks together from bytes of the file and of the manifest, however they are cut', async () => {
    const items = [
      epoch(0),
      event('{"type":"é"}'),
      own(1, 2, 3),
      file(100, 50),
      media(Uint8Array.of(1, 2), 1),
      media(Uint8Array.of(3, ...bytes(100, 120)), 2),
      own(9),
      file(200, 10),
      media(Uint8Array.of(...bytes(120, 150), 9, ...bytes(200, 210)), 3),
      epoch(1, null),
      own(4, 5),
      media(Uint8Array.of(4, 5), 4),
    ];
    const { chunks, result } = await rebuildAll(manifestOf(items));
    expect(result).toEqual({ kind: 'intact', chunkCount: 5 });
    expect(chunks.map(({ payload }) => payload.length)).toEqual([13, 2, 21, 41, 2]);
    expect(chunks.map(({ epoch: number, sequence }) => [number, sequence])).toEqual([
      [0, 0],
      [0, 1],
      [0, 2],
      [0, 3],
      [1, 4],
    ]);
  });

  it('[M1] of a recording without chunks gives none', async () => {
    expect(await rebuildAll(manifestOf([]))).toEqual({
      chunks: [],
      result: { kind: 'intact', chunkCount: 0 },
    });
  });

  it('[M2] names the chunk that differs, since when it was captured, and where it is', async () => {
    const items = [
      epoch(0),
      file(100, 60),
      media(bytes(100, 120), 1),
      media(bytes(120, 140), 3),
      // Of the same slice of the recorder.
      media(bytes(140, 160), 3),
    ];
    const changed = FILE.with(150, 0);
    const { chunks, result } = await rebuildAll(manifestOf(items), { files: [changed] });
    const toMs = (sec: number): number => RECORDING.startedAtUs / 1000 + sec * 1000;
    expect(result).toEqual({
      kind: 'chunks',
      chunkCount: 3,
      differingCount: 1,
      differing: [
        { sequence: 2, epoch: 0, fromMs: toMs(1), toMs: toMs(3), place: { part: 0, start: 140, end: 160 } },
      ],
    });
    expect(chunks.map(({ isIntact }) => isIntact)).toEqual([true, true, false]);
  });

  it('[M2] counts all that differ, and names the first ones', async () => {
    const count = MAX_REPORTED_CHUNKS + 20;
    const items = [epoch(0), file(0, count), ...Array.from({ length: count }, () => media(Uint8Array.of(1)))];
    const { result } = await rebuildAll(manifestOf(items), { files: [new Uint8Array()] });
    if (result.kind !== 'chunks') throw new Error(`The result is ${result.kind}.`);
    expect(result.differingCount).toBe(count);
    expect(result.differing).toHaveLength(MAX_REPORTED_CHUNKS);
  });

  it('[M2] a part that holds nothing of any chunk is read as well', async () => {
    const items = [epoch(0, 1), file(0, 5), media(bytes(0, 5))];
    const manifest = manifestOf(items, { parts: [part('a.webm'), part('b.webm')] });
    expect((await rebuildAll(manifest, { files: [FILE, FILE] })).result.kind).toBe('intact');
    const { result } = await rebuildAll(manifest, { files: [FILE.with(900, 1), FILE] });
    expect(result).toEqual({ kind: 'container', chunkCount: 1, parts: [0] });
  });

  it('[M3] hashes that are not those of the chain are noticed although the bytes fit them', async () => {
    const items = [epoch(0), file(0, 5), media(bytes(0, 5))];
    const lastChain = '0'.repeat(64);
    expect((await rebuildAll(manifestOf(items, { lastChain }))).result).toEqual({
      kind: 'chain',
      chunkCount: 1,
    });
  });

  it.each<[string, ManifestItem[], Partial<ManifestHead>]>([
    ['a chunk before the first epoch', [media(bytes(0, 1))], {}],
    ['an epoch that is missing', [epoch(1)], {}],
    ['a part that is not there', [epoch(0, 3)], {}],
    ['an epoch in a file of which it has nothing', [epoch(0)], {}],
    ['file bytes of an epoch in no part', [epoch(0, null), file(0, 1), media(bytes(0, 1))], {}],
    ['a chunk with more bytes than stand before it', [epoch(0), file(0, 3), media(bytes(0, 4))], {}],
    ['bytes that belong to no chunk', [epoch(0), file(0, 3), media(bytes(0, 2))], {}],
    ['a file that is read backwards', [epoch(0), file(9, 1), file(8, 1), media(bytes(8, 10))], {}],
    ['a file that is read twice', [epoch(0), file(9, 1), file(9, 1), media(bytes(8, 10))], {}],
    ['fewer chunks than it states', [epoch(0), file(0, 1), media(bytes(0, 1))], { chunkCount: 2 }],
    ['bytes far ahead of any chunk', [epoch(0), file(0, MAX_CHUNK_PAYLOAD_BYTES), file(2 << 20, 1)], {}],
  ])('[M3] refuses a manifest with %s', async (_what, items, fields) => {
    await expect(rebuildAll(manifestOf(items, fields))).rejects.toMatchObject({ code: 'MANIFEST_INVALID' });
  });

  it('[M3] refuses a part that comes again', async () => {
    const items = [epoch(0, 1), file(0, 1), media(bytes(0, 1)), epoch(1, 0), file(0, 1), media(bytes(0, 1))];
    const manifest = manifestOf(items, { parts: [part('a.webm'), part('b.webm')] });
    await expect(rebuildAll(manifest, { files: [FILE, FILE] })).rejects.toMatchObject({
      code: 'MANIFEST_INVALID',
    });
  });

  it('[M3] refuses items that are none, and lines without an end', async () => {
    const text = Buffer.from(manifestOf([epoch(0), file(0, 1), media(bytes(0, 1))])).toString();
    const odd = [
      '["file",0]',
      '["file",-1,1]',
      '["file",0.5,1]',
      '["other",1]',
      '{}',
      'null',
      '["own","*"]',
      '[',
    ];
    for (const line of [...odd, `["own","${'A'.repeat(MAX_MANIFEST_LINE_BYTES)}"]`]) {
      const covered = text.slice(0, text.lastIndexOf('"sha256":')).replace('["file",0,1]', line);
      const digest = encodeHex(sha256.hash(Buffer.from(covered)));
      const manifest = Buffer.from(`${covered}"sha256":"${digest}"}\n`);
      await expect(rebuildAll(manifest), line.slice(0, 40)).rejects.toMatchObject({
        code: 'MANIFEST_INVALID',
      });
    }
  });
});
