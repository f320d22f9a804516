/** Reads burnt-in stamps back: from a <video> or <canvas> that a page shows, and from a media file. */
import { spawn } from 'node:child_process';
import type { Page } from 'playwright-core';
import { decodeStamp, STAMP_HEIGHT_FRACTION, STAMP_SAMPLE } from './stamp.ts';

export interface SeenStamp {
  /** When the picture was drawn on the captured screen, milliseconds since 1970. */
  readonly stampMs: number;
  /** When it was read from the element. */
  readonly seenAtMs: number;
}

/** Reads the picture that the element shows at this moment; null when it shows no stamp. */
export async function readStamp(page: Page, elementSelector: string): Promise<SeenStamp | null> {
  const sample = await page.evaluate(
    ({ selector, width, height, fraction }) => {
      const element = document.querySelector<HTMLVideoElement | HTMLCanvasElement>(selector);
      if (!element) return null;
      const [fullWidth, fullHeight] =
        'videoWidth' in element ? [element.videoWidth, element.videoHeight] : [element.width, element.height];
      if (fullWidth === 0) return null;
      const canvas = document.createElement('canvas');
      canvas.width = width;
      canvas.height = height;
      const context = canvas.getContext('2d', { willReadFrequently: true })!;
      const seenAtMs = Date.now();
      context.drawImage(element, 0, 0, fullWidth, fullHeight * fraction, 0, 0, width, height);
      const rgba = context.getImageData(0, 0, width, height).data;
      return { seenAtMs, green: Array.from({ length: width * height }, (_, index) => rgba[index * 4 + 1]!) };
    },
    {
      selector: elementSelector,
      width: STAMP_SAMPLE.widthPx,
      height: STAMP_SAMPLE.heightPx,
      fraction: STAMP_HEIGHT_FRACTION,
    },
  );
  if (!sample) return null;
  const stampMs = decodeStamp(Uint8Array.from(sample.green));
  return stampMs === null ? null : { stampMs, seenAtMs: sample.seenAtMs };
}

/**
 * Reads stamps from the element until `isEnough` says so; the wait between two looks is the page's own next frame.
 * Throws after `timeoutMs` with what was seen.
 */
export async function watchStamps(
  page: Page,
  elementSelector: string,
  options: { isEnough: (seen: readonly SeenStamp[]) => boolean; timeoutMs: number },
): Promise<SeenStamp[]> {
  const seen: SeenStamp[] = [];
  const deadlineMs = Date.now() + options.timeoutMs;
  while (!options.isEnough(seen)) {
    if (Date.now() > deadlineMs) {
      throw new Error(
        `Saw ${seen.length} stamps at ${elementSelector} within ${options.timeoutMs} ms, not enough.`,
      );
    }
    const stamp = await readStamp(page, elementSelector);
    if (stamp && stamp.stampMs !== seen.at(-1)?.stampMs) seen.push(stamp);
    else await page.evaluate(() => new Promise(requestAnimationFrame));
  }
  return seen;
}

export interface FileFrame {
  /** Presentation time in the file, milliseconds. */
  readonly timeMs: number;
  /** Null when the frame shows no stamp. */
  readonly stampMs: number | null;
}

/** Every frame of a media file, in order, decoded. Throws when ffmpeg complains. */
export async function readFileFrames(path: string): Promise<FileFrame[]> {
  const { widthPx, heightPx } = STAMP_SAMPLE;
  const filter = `crop=iw:ih*${STAMP_HEIGHT_FRACTION}:0:0,scale=${widthPx}:${heightPx}:flags=area,format=gray,settb=1/1000,setpts=N*1000`;
  const decode = ['-map', '0:v:0', '-fps_mode', 'passthrough', '-vf', filter, '-f', 'rawvideo', 'pipe:1'];
  const pictures = await run('ffmpeg', ['-v', 'error', '-i', path, ...decode]);
  const frameBytes = widthPx * heightPx;
  const timesMs = await readFrameTimes(path);
  if (pictures.length !== timesMs.length * frameBytes) {
    throw new Error(`Of ${timesMs.length} frames ${pictures.length / frameBytes} were decoded.`);
  }
  return timesMs.map((timeMs, index) => ({
    timeMs,
    stampMs: decodeStamp(pictures.subarray(index * frameBytes, (index + 1) * frameBytes)),
  }));
}

async function readFrameTimes(path: string): Promise<number[]> {
  const wanted = ['-select_streams', 'v:0', '-show_entries', 'frame=pts_time', '-of', 'csv=p=0'];
  const listing = await run('ffprobe', ['-v', 'error', ...wanted, path]);
  const lines = listing.toString().trim().split('\n');
  return lines.map((line) => Math.round(Number.parseFloat(line) * 1000));
}

export interface ProbedFile {
  readonly durationS: number;
  readonly videoFrames: number;
  readonly codec: string;
}

/** What ffprobe finds after reading the whole file. Throws when it has anything to complain about. */
export async function probeFile(path: string): Promise<ProbedFile> {
  const json = await run('ffprobe', [
    '-v', 'error', '-count_frames', '-select_streams', 'v:0',
    '-show_entries', 'format=duration:stream=nb_read_frames,codec_name', '-of', 'json', path,
  ]); // prettier-ignore
  const probed = JSON.parse(json.toString()) as {
    format: { duration: string };
    streams: { nb_read_frames: string; codec_name: string }[];
  };
  const stream = probed.streams[0]!;
  return {
    durationS: Number(probed.format.duration),
    videoFrames: Number(stream.nb_read_frames),
    codec: stream.codec_name,
  };
}

/** Standard output of a program that is expected to end well and to say nothing on standard error. */
export function run(command: string, args: string[]): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const output: Buffer[] = [];
    let complaints = '';
    child.stdout.on('data', (data: Buffer) => output.push(data));
    child.stderr.on('data', (data: Buffer) => (complaints += data.toString()));
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0 && complaints === '') resolve(Buffer.concat(output));
      else reject(new Error(`${command} ended with ${code}: ${complaints}`));
    });
  });
}
