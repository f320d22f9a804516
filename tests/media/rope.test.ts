// Ropes of real recordings against readers that share no code with them: ffprobe, ffmpeg and mediabunny. WEBM_CLIPS
// names a folder of other recordings (from tests/media/record-clips.ts).

import { mkdtempSync, rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BufferSource, EncodedPacketSink, Input, WEBM } from 'mediabunny';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { JournaledRecording, ropeBytes } from '../../relay/testing/journaled-recording.ts';
import { freshSeed, seededRandom } from '../../shared/testing/random.ts';
import { loadWebmClips, type WebmClip } from '../../shared/testing/webm-clip.ts';
import { complaints, frameHashes, runTool } from './media-tools.ts';

const START_US = 1_790_000_000_000_000;
const clips = loadWebmClips(process.env.WEBM_CLIPS);
const folder = mkdtempSync(join(tmpdir(), 'proofcast-rope-media-'));
afterAll(() => rmSync(folder, { recursive: true }));

const opened: JournaledRecording[] = [];
afterEach(() => Promise.all(opened.splice(0).map((recording) => recording.close())));

describe.each(clips)('a rope of $name', (clip) => {
  test('[R10] is an ordinary webm, with the frames of the original', async () => {
    const path = await ropeFile('one', [{ clip, atMs: 0 }]);
    expect(complaints('ffprobe', ['-show_packets', '-show_streams', '-show_format', path])).toBe('');
    expect(complaints('ffmpeg', ['-i', path, '-f', 'null', '-'])).toBe(
      complaints('ffmpeg', ['-i', clip.path, '-f', 'null', '-']),
    );
    expect(frameHashes(path)).toEqual(frameHashes(clip.path));
    expect(frameHashes(path).length).toBeGreaterThan(50);
  });

  test('[R10] of two epochs has the frames of both, a pause apart', async () => {
    const path = await ropeFile('two', [
      { clip, atMs: 0 },
      { clip, atMs: 65_432 },
    ]);
    expect(complaints('ffprobe', ['-show_packets', path])).toBe('');
    const [once, twice] = [packets(clip.path), packets(path)];
    const shifted = once.map((packet) => ({ ...packet, pts: packet.pts + 65_432 }));
    expect(byStream(twice)).toEqual(byStream([...once, ...shifted]));
    const video = frameHashes(clip.path, 'v');
    expect(frameHashes(path, 'v')).toEqual([...video, ...video]);
  });

  test('[R10] mediabunny agrees on the time and key flag of every packet', async () => {
    const seed = freshSeed();
    const atMs = seededRandom(seed).integer(10_000, 10_000_000);
    const recording = await record([
      { clip, atMs: 0 },
      { clip, atMs },
    ]);
    const made = await readPackets(await ropeBytes(recording.rope()));
    const original = await readPackets(clip.bytes);
    expect(Object.keys(made)).toEqual(Object.keys(original));
    for (const [track, ones] of Object.entries(original)) {
      const shifted = ones.map((packet) => ({ ...packet, ms: packet.ms + atMs }));
      expect(made[track], `seed ${seed}, ${track}`).toEqual([...ones, ...shifted]);
    }
  });

  test('[R10] that stops anywhere is an ordinary webm too', async () => {
    const seed = freshSeed();
    const random = seededRandom(seed);
    const recording = await record([]);
    recording.epoch({ startedAtUs: START_US });
    for (let start = 0; start < clip.bytes.length;) {
      const end = Math.min(clip.bytes.length, start + random.integer(1, 4000));
      recording.media([clip.bytes.subarray(start, end)]);
      start = end;
    }
    const hashes = frameHashes(clip.path, 'v');
    for (let round = 0; round < 3; round++) {
      const chunkCount = random.integer(10, recording.index.nextSequence);
      if (recording.plans(chunkCount).length === 0) continue;
      const path = join(folder, `${clip.name}-torn.webm`);
      await writeFile(path, await ropeBytes(recording.rope(0, chunkCount)));
      const what = `seed ${seed}, ${chunkCount} chunks`;
      expect(complaints('ffprobe', ['-show_packets', path]), what).toBe('');
      const made = frameHashes(path, 'v');
      expect(made, what).toEqual(hashes.slice(0, made.length));
    }
  });
});

async function record(epochs: { clip: WebmClip; atMs: number }[]): Promise<JournaledRecording> {
  const recording = await JournaledRecording.create({ startedAtUs: START_US });
  opened.push(recording);
  for (const { clip, atMs } of epochs) {
    recording.epoch({ startedAtUs: START_US + atMs * 1000 });
    recording.media(clip.slices);
  }
  await recording.flush();
  return recording;
}

async function ropeFile(name: string, epochs: { clip: WebmClip; atMs: number }[]): Promise<string> {
  const recording = await record(epochs);
  const path = join(folder, `${epochs[0]?.clip.name}-${name}.webm`);
  await writeFile(path, await ropeBytes(recording.rope()));
  return path;
}

interface ProbedPacket {
  stream: number;
  pts: number;
  isKey: boolean;
  size: string;
}

function packets(path: string): ProbedPacket[] {
  const { stdout } = runTool('ffprobe', ['-v', 'error', '-show_packets', '-of', 'json', path]);
  const found = JSON.parse(stdout) as {
    packets: { stream_index: number; pts: number; flags: string; size: string }[];
  };
  return found.packets.map(({ stream_index: stream, pts, flags, size }) => ({
    stream,
    pts,
    isKey: flags.startsWith('K'),
    size,
  }));
}

const byStream = (all: ProbedPacket[]): ProbedPacket[] => all.toSorted((a, b) => a.stream - b.stream);

async function readPackets(bytes: Uint8Array): Promise<Record<string, { ms: number; isKey: boolean }[]>> {
  const input = new Input({ source: new BufferSource(bytes), formats: [WEBM] });
  const tracks: Record<string, { ms: number; isKey: boolean }[]> = {};
  for (const track of await input.getTracks()) {
    const found: { ms: number; isKey: boolean }[] = [];
    const sink = new EncodedPacketSink(track);
    for await (const packet of sink.packets(undefined, undefined, { metadataOnly: true })) {
      found.push({ ms: Math.round(packet.timestamp * 1000), isKey: packet.type === 'key' });
    }
    tracks[track.type] = found;
  }
  return tracks;
}
