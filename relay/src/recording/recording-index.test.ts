import { WebmScanner, type Chunk, type WebmItem } from '@proofcast/shared';
import { loadWebmClip, loadWebmClips } from '@proofcast/shared/testing/webm-clip';
import { freshSeed, seededRandom } from '@proofcast/shared/testing/random';
import { describe, expect, test } from 'vitest';
import { ChunkMaker } from '../../testing/chunk-maker.ts';
import type { StoredPayload } from '../journal/journal-tail.ts';
import { RecordingIndex } from './recording-index.ts';

const IDS = { streamId: 'str_00000000000000000000', deviceId: 'dev_00000000000000000000' };

function newIndex(maxEntries = 4096): RecordingIndex {
  return new RecordingIndex({ chain: new Uint8Array(32), maxEntries });
}

const inMemory = ({ payload }: Chunk): StoredPayload => ({ place: { kind: 'memory', bytes: payload } });

function take(index: RecordingIndex, chunk: Chunk): void {
  index.check(chunk).store(inMemory(chunk));
}

/** Cuts bytes into pieces of random lengths. */
function cut(bytes: Uint8Array, random: { integer(from: number, to: number): number }): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let start = 0; start < bytes.length;) {
    const end = Math.min(bytes.length, start + random.integer(1, 20_000));
    pieces.push(bytes.subarray(start, end));
    start = end;
  }
  return pieces;
}

describe('the index of a recording', () => {
  test('[V3] knows the exact init segment and the newest key cluster, however the bytes are cut', () => {
    const seed = freshSeed();
    const random = seededRandom(seed);
    for (const clip of loadWebmClips()) {
      const what = `seed ${seed}, ${clip.name}`;
      const items: WebmItem[] = new WebmScanner().push(clip.bytes);
      const init = items.find((item) => item.type === 'init');
      const keys = items.filter((item) => item.type === 'keyCluster');
      const index = newIndex();
      const maker = new ChunkMaker(IDS);
      take(index, maker.epoch());
      for (const piece of cut(clip.bytes, random)) for (const chunk of maker.media(piece)) take(index, chunk);

      const key = index.newestKey;
      expect(keys.length, what).toBeGreaterThan(1);
      expect(Buffer.from(index.epoch?.init ?? []).equals(clip.bytes.subarray(0, init?.end)), what).toBe(true);
      expect(key?.streamStart, what).toBe(keys.at(-1)?.start);
      const parts: Uint8Array[] = [];
      for (let n = key?.sequence ?? 0; n < index.nextSequence; n++) {
        const { stored } = index.entry(n) ?? {};
        if (stored?.place.kind === 'memory') parts.push(stored.place.bytes);
      }
      const fromKey = Buffer.concat(parts).subarray(key?.offset);
      expect(fromKey.equals(clip.bytes.subarray(key?.streamStart)), what).toBe(true);
    }
  });

  test('remembers a bounded number of chunks, and a key cluster only with its chunks', () => {
    const clip = loadWebmClip('vp8');
    const index = newIndex(5);
    const maker = new ChunkMaker(IDS);
    take(index, maker.epoch());
    for (let start = 0; start < clip.bytes.length; start += 500) {
      for (const chunk of maker.media(clip.bytes.subarray(start, start + 500))) take(index, chunk);
      const key = index.newestKey;
      if (key !== null) expect(index.entry(key.sequence)).not.toBeNull();
      expect(index.entry(index.nextSequence - 6)).toBeNull();
      expect(index.entry(index.nextSequence - 1)).not.toBeNull();
    }
  });

  test('[I7] begins with epoch 0 and counts up by one, each epoch with its event first', () => {
    const index = newIndex();
    const maker = new ChunkMaker(IDS);
    const started = maker.epoch();
    const invalid = { code: 'CHUNK_EPOCH_INVALID' };
    expect(() => index.check({ ...started, epoch: 1 })).toThrow(expect.objectContaining(invalid));
    expect(() => index.check(maker.draft())).toThrow(expect.objectContaining(invalid));
    take(index, started);
    expect(() => index.check({ ...started, sequence: 1 })).toThrow(expect.objectContaining(invalid));
    expect(() => index.check({ ...started, sequence: 1, epoch: 2 })).toThrow(
      expect.objectContaining(invalid),
    );
    expect(() => index.check(maker.draft({ epoch: 1 }))).toThrow(expect.objectContaining(invalid));
    const stalled = maker.event({ type: 'capture-stalled', data: {} });
    expect(() => index.check({ ...stalled, epoch: 1 })).toThrow(expect.objectContaining(invalid));
    take(index, stalled);
    expect(index.isStalled).toBe(true);
    take(index, maker.epoch());
    expect(index.epoch?.number).toBe(1);
    expect(index.isStalled).toBe(false);
  });

  test('[I4] refuses an event that is none', () => {
    const index = newIndex();
    const maker = new ChunkMaker(IDS);
    take(index, maker.epoch());
    for (const text of ['', '{', '{"type":"no-such"}', '{"type":"epoch-started","data":{}}', '[]']) {
      const chunk = maker.draft({ kind: 'event', payload: Buffer.from(text) });
      expect(() => index.check(chunk), text).toThrow(expect.objectContaining({ code: 'EVENT_INVALID' }));
    }
    const noUtf8 = maker.draft({ kind: 'event', payload: Uint8Array.of(0xff, 0xfe) });
    expect(() => index.check(noUtf8)).toThrow(expect.objectContaining({ code: 'EVENT_INVALID' }));
    expect(index.nextSequence).toBe(1);
  });

  test('[I8] keeps an epoch refused after bytes that are no webm, until the next one begins', () => {
    const clip = loadWebmClip('vp9');
    const index = newIndex();
    const maker = new ChunkMaker(IDS);
    take(index, maker.epoch());
    const garbage = maker.draft({ payload: Buffer.from('this is no webm') });
    expect(() => index.check(garbage)).toThrow(expect.objectContaining({ code: 'WEBM_INVALID' }));
    const good = maker.draft({ payload: clip.bytes.subarray(0, 1000) });
    expect(() => index.check(good)).toThrow(expect.objectContaining({ code: 'WEBM_INVALID' }));
    expect(index.nextSequence).toBe(1);
    take(index, maker.epoch());
    for (const slice of clip.slices) for (const chunk of maker.media(slice)) take(index, chunk);
    expect(index.newestKey?.epoch).toBe(1);
  });

  test('refuses an epoch whose clusters never begin, before it fills the memory', () => {
    const index = newIndex();
    const maker = new ChunkMaker(IDS);
    take(index, maker.epoch());
    // A Void element of 50 MB, which may stand anywhere.
    for (const chunk of maker.media(segmentWithVoid(50_000_000))) take(index, chunk);
    const filler = maker.draft({ payload: new Uint8Array(1024 * 1024) });
    const unsupported = expect.objectContaining({ code: 'WEBM_UNSUPPORTED' });
    expect(() => index.check(filler)).toThrow(unsupported);
    expect(() => index.check(filler)).toThrow(unsupported);
  });
});

function segmentWithVoid(byteLength: number): Buffer {
  const header = loadWebmClip('vp8').bytes;
  const segmentAt = Buffer.from(header).indexOf(Buffer.of(0x18, 0x53, 0x80, 0x67));
  const size = Buffer.alloc(8);
  size.writeBigUInt64BE(BigInt(byteLength) | (1n << 56n));
  return Buffer.concat([header.subarray(0, segmentAt + 12), Buffer.of(0xec), size]);
}
