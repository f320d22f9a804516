/**
 * Encodes a whole recording again, all parts on one time line whose clock is the wall clock: every picture at its time,
 * gaps as long as they were and marked as chapters.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CodedError } from '@proofcast/shared';
import { formatMetadata, planChapters } from './chapters.ts';
import type { DerivativeJob, MadeFile } from './derivative-job.ts';
import type { DerivativeSource } from './derivative-source.ts';
import type { ProbedFile } from './ffprobe.ts';
import { timelineFilters, type TimelineShape } from './timeline-filters.ts';
import { partName } from './workspace.ts';

/** The last picture's own duration is not known, and sound may end a little later or earlier. */
const DURATION_TOLERANCE_MS = 2_000;
/** Each is open at the same time. */
const MAX_TIMELINE_PARTS = 32;
/** A gap is filled with silence, which is encoded too; a clock that was set makes one of years. */
const MAX_TIMELINE_MS = 7 * 24 * 3_600_000;
/** A slow machine needs longer to encode than it took to record. */
const TIME_PER_RECORDED_TIME = 4;
/** Of the whole, once everything is encoded: the rest is the check. */
const ENCODED = 0.98;
const METADATA = 'metadata.txt';

export interface TimelineEncoding {
  /** For messages: `make the MP4`. */
  readonly what: string;
  readonly name: string;
  readonly format: 'mp4' | 'webm';
  /** What the file says of itself. */
  readonly tags: Readonly<Record<string, string>>;
  readonly video: readonly string[];
  readonly audio: readonly string[];
  readonly container: readonly string[];
}

/** Why the parts of the recording cannot be laid onto one time line, as half a sentence; null when they can. */
export function whyNotOneFile({ parts, durationMs }: DerivativeSource): string | null {
  if (parts.length > MAX_TIMELINE_PARTS) {
    return `it has ${parts.length} parts: at most ${MAX_TIMELINE_PARTS} can be joined`;
  }
  if (durationMs > MAX_TIMELINE_MS) {
    const days = (ms: number): number => Math.ceil(ms / (24 * 3_600_000));
    return `from its beginning to its end are ${days(durationMs)} days: at most ${days(MAX_TIMELINE_MS)} can be`;
  }
  return null;
}

export async function encodeTimeline(job: DerivativeJob, encoding: TimelineEncoding): Promise<MadeFile> {
  const { source, folder, ffmpeg, bounds, onProgress } = job;
  const { shape, pictures } = await readShape(job);
  const chapters = planChapters(source);
  await writeFile(join(folder, METADATA), formatMetadata(encoding.tags, chapters), { mode: 0o600 });
  const { graph, hasAudio } = timelineFilters(shape);
  const metadataInput = String(source.parts.length);
  const run = {
    what: encoding.what,
    folder,
    inputs: [
      // Times stay as they are in the files; else each would begin at its first picture.
      ...source.parts.map((_, index) => ({
        name: partName(index),
        format: 'webm' as const,
        ...(index === 0 ? { options: ['-copyts'] } : {}),
      })),
      { name: METADATA, format: 'ffmetadata' as const },
    ],
    output: { name: encoding.name, options: outputOptions(encoding, { graph, hasAudio, metadataInput }) },
    extraTimeMs: source.durationMs * TIME_PER_RECORDED_TIME,
    onProgress: (timeMs: number) => onProgress((ENCODED * timeMs) / Math.max(1, source.durationMs)),
  };
  await ffmpeg.run(run, bounds);
  const { name, format } = encoding;
  const expected = { pictures, hasAudio, chapters: chapters.length };
  await checkEncoded(job, { folder, name, format }, expected);
  return { name };
}

/** One every two seconds, so that it can be sought; none the more for a gap before it. */
const KEY_PICTURES = ['-force_key_frames', 'expr:if(isnan(prev_forced_t),1,gte(t,prev_forced_t+2))'];
/** Milliseconds, as in the files: with a rate in between, pictures would move or fall together. */
const TIMES_KEPT = ['-fps_mode', 'passthrough', '-enc_time_base:v', '1:1000'];

function outputOptions(
  { video, audio, container, format }: TimelineEncoding,
  { graph, hasAudio, metadataInput }: { graph: string; hasAudio: boolean; metadataInput: string },
): string[] {
  const options = ['-filter_complex', graph, '-map', '[v]'];
  if (hasAudio) options.push('-map', '[a]', ...audio);
  options.push('-map_metadata', metadataInput, '-map_chapters', metadataInput);
  options.push(...TIMES_KEPT, ...KEY_PICTURES, ...video, ...container, '-f', format);
  return options;
}

async function readShape(job: DerivativeJob): Promise<{ shape: TimelineShape; pictures: number }> {
  const { source, ffprobe, folder, bounds } = job;
  const because = whyNotOneFile(source);
  if (because !== null) {
    throw new CodedError('DERIVATIVE_FAILED', `Cannot make one file of the recording: ${because}.`);
  }
  const parts = [];
  let pictures = 0;
  let size: { widthPx: number; heightPx: number } | null = null;
  for (const [index, part] of source.parts.entries()) {
    const file = { folder, name: partName(index), format: 'webm' } as const;
    const { video, audioPackets } = await ffprobe.probe(file, bounds.signal);
    if (video === null || video.packets === 0) {
      throw new CodedError('DERIVATIVE_FAILED', `Part ${index} of the recording has no picture.`);
    }
    size ??= { widthPx: evenAtLeast(video.widthPx), heightPx: evenAtLeast(video.heightPx) };
    pictures += video.packets;
    parts.push({ ...part, hasAudio: audioPackets > 0 });
  }
  if (size === null) throw new CodedError('DERIVATIVE_FAILED', 'The recording has no part.');
  return { shape: { parts, durationMs: source.durationMs, ...size }, pictures };
}

/** Encoders that halve the resolution of colour want even sizes. */
function evenAtLeast(px: number): number {
  return Math.ceil(px / 2) * 2;
}

async function checkEncoded(
  job: DerivativeJob,
  file: ProbedFile,
  expected: { pictures: number; hasAudio: boolean; chapters: number },
): Promise<void> {
  const { ffprobe, bounds, source } = job;
  const made = await ffprobe.probe(file, bounds.signal);
  const pictures = made.video?.packets ?? 0;
  const isLong = Math.abs(made.durationMs - source.durationMs) <= DURATION_TOLERANCE_MS;
  const isHeard = made.audioPackets > 0 === expected.hasAudio;
  const isWhole = pictures === expected.pictures || pictures === (await countDecodable(job));
  if (isLong && isHeard && isWhole && made.chapters === expected.chapters) return;
  throw new CodedError(
    'DERIVATIVE_FAILED',
    `The file that was made has ${pictures} pictures, ${made.audioPackets} packets of sound and ${made.chapters} chapters ` +
      `in ${made.durationMs} ms; the recording has ${expected.pictures} pictures, ` +
      `${expected.hasAudio ? 'sound' : 'no sound'} and ${expected.chapters} chapters in ${Math.round(source.durationMs)} ms.`,
  );
}

/** Not every packet of a recorder must be a picture that can be shown; those that can are all to be there. */
async function countDecodable({ source, ffprobe, folder, bounds }: DerivativeJob): Promise<number> {
  let pictures = 0;
  for (const index of source.parts.keys()) {
    const file = { folder, name: partName(index), format: 'webm' } as const;
    pictures += await ffprobe.countPictures(file, bounds.signal);
  }
  return pictures;
}
