// The scanner against two readers that share no code with it, over real recordings. WEBM_CLIPS names a folder of
// other recordings (from tests/media/record-clips.ts).

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BufferSource, EncodedPacketSink, Input, WEBM } from 'mediabunny';
import { afterAll, describe, expect, test } from 'vitest';
import { loadWebmClips, type WebmClip } from '../../shared/testing/webm-clip.ts';
import { scanPieces } from '../../shared/testing/webm-scan.ts';
import type { WebmBlock, WebmItem } from '../../shared/src/webm.ts';

/** What two readers must agree on about a frame. */
interface Frame {
  kind: string;
  timestampMs: number;
  isKeyframe: boolean;
}

const clips = loadWebmClips(process.env.WEBM_CLIPS);
const folder = mkdtempSync(join(tmpdir(), 'webm-scanner-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe.each(clips)('$name', (clip) => {
  const { items, failure } = scanPieces(clip.slices);
  const blocks = items.filter((item) => item.type === 'block');
  const [init] = items;

  test('scans to its last byte', () => {
    expect(failure).toBeNull();
    expect(items.at(-1)).toMatchObject({ type: 'clusterEnd', end: clip.bytes.length });
  });

  test('[W2] ffprobe finds the same frames, kinds, times and keyframes, inside the same bytes', () => {
    const packets = probe(clip.path);
    expect(packets.map(toFrame)).toEqual(blocks.map(blockFrame));
    for (const [index, { pos, size }] of packets.entries()) {
      const block = blocks[index];
      expect(Number(pos)).toBeGreaterThanOrEqual(block?.start ?? 0);
      expect(Number(pos) + Number(size)).toBeLessThanOrEqual(block?.end ?? 0);
    }
  });

  test('[W2] mediabunny finds the same frames, times and keyframes', async () => {
    expect(await readFrames(clip)).toEqual(byTrack(blocks));
  });

  test('the tracks are those of the recording', () => {
    if (init?.type !== 'init') throw new Error('The first item is not the init segment.');
    const codecs = clip.mimeType.split('codecs=')[1]?.split(',') ?? [];
    const found = init.tracks.map(({ codecId }) => codecId.replace(/^[AV]_/, '').toLowerCase());
    expect(found.toSorted()).toEqual(codecs.map((codec) => codec.replaceAll('"', '')).toSorted());
    expect(init.tracks.find(({ kind }) => kind === 'video')).toMatchObject({ widthPx: 320, heightPx: 180 });
  });

  test('every keyframe is the first picture of its Cluster, and all Clusters end where the next begins', () => {
    const keys = blocks.filter(({ trackKind, isKeyframe }) => trackKind === 'video' && isKeyframe);
    const hints = items.filter((item) => item.type === 'keyCluster');
    expect(keys.map(({ start }) => start)).toEqual(hints.map(({ blockStart }) => blockStart));
    expect(keys.length).toBeGreaterThanOrEqual(3);
    expect(starts(items).slice(1)).toEqual(ends(items).slice(0, -1));
  });

  test('remuxed to known sizes, Cues and Tags, it has the same blocks', () => {
    const path = join(folder, `${clip.name}.webm`);
    execFileSync('ffmpeg', ['-v', 'error', '-i', clip.path, '-c', 'copy', '-cues_to_front', '1', path]);
    const remuxed = scanPieces([new Uint8Array(readFileSync(path))]);
    expect(remuxed.failure).toBeNull();
    // By track: the muxer may swap sound and picture of the same millisecond.
    expect(byTrack(remuxed.items.filter((item) => item.type === 'block'))).toEqual(byTrack(blocks));
    expect(remuxed.items.find((item) => item.type === 'init')?.durationMs).toBeGreaterThan(5000);
  });
});

function blockFrame({ trackKind, timestampMs, isKeyframe }: WebmBlock): Frame {
  return { kind: trackKind, timestampMs, isKeyframe };
}

function starts(items: WebmItem[]): number[] {
  return items.filter((item) => item.type === 'cluster').map(({ start }) => start);
}

function ends(items: WebmItem[]): number[] {
  return items.filter((item) => item.type === 'clusterEnd').map(({ end }) => end);
}

interface ProbedPacket {
  codec_type: string;
  pts: number;
  flags: string;
  pos: string;
  size: string;
}

function probe(path: string): ProbedPacket[] {
  const json = execFileSync('ffprobe', ['-v', 'error', '-show_packets', '-of', 'json', path], {
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  return (JSON.parse(json) as { packets: ProbedPacket[] }).packets;
}

function toFrame({ codec_type: kind, pts, flags }: ProbedPacket): Frame {
  return { kind, timestampMs: pts, isKeyframe: flags.startsWith('K') };
}

/** By track, as mediabunny reads one track at a time. */
async function readFrames({ bytes }: WebmClip): Promise<Record<string, Frame[]>> {
  const input = new Input({ source: new BufferSource(bytes), formats: [WEBM] });
  const tracks: Record<string, Frame[]> = {};
  for (const track of await input.getTracks()) {
    const frames: Frame[] = [];
    for await (const packet of new EncodedPacketSink(track).packets(undefined, undefined, {
      metadataOnly: true,
    })) {
      const timestampMs = Math.round(packet.timestamp * 1000);
      frames.push({ kind: track.type, timestampMs, isKeyframe: packet.type === 'key' });
    }
    tracks[track.type] = frames;
  }
  return tracks;
}

function byTrack(blocks: WebmBlock[]): Record<string, Frame[]> {
  const tracks: Record<string, Frame[]> = {};
  for (const block of blocks) (tracks[block.trackKind] ??= []).push(blockFrame(block));
  return tracks;
}
