/**
 * Small pictures along a recording, in one image. Only key pictures are decoded, each found by a seek, so that it costs
 * the same whatever the length. Their times are those at which they really were on the screen: a gap has no pictures,
 * and none is moved by one.
 */
import { readdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CodedError } from '@proofcast/shared';
import { checkPicture, type DerivativeJob, type MadeFile } from './derivative-job.ts';
import { DECODERS } from './ffmpeg.ts';
import { planGrid, planTileTimes, type TileGrid } from './sprite-plan.ts';
import { partName } from './workspace.ts';

const NAME = 'sprite.jpg';
/** How far it is when all tiles are decoded. */
const DECODED = 0.9;

interface Tile {
  readonly name: string;
  readonly timeMs: number;
}

export async function makeSprite(job: DerivativeJob): Promise<MadeFile> {
  const { source, ffprobe, folder, bounds, onProgress } = job;
  const first = await ffprobe.probe({ folder, name: partName(0), format: 'webm' }, bounds.signal);
  if (first.video === null) throw new CodedError('DERIVATIVE_FAILED', 'The recording has no picture track.');
  const wanted = planTileTimes(source);
  const shape = planGrid(1, first.video);
  const tiles: Tile[] = [];
  for (const [part, timesMs] of wanted.entries()) {
    if (timesMs.length > 0) tiles.push(...(await decodeTiles(job, { part, timesMs, shape })));
    onProgress((DECODED * (part + 1)) / wanted.length);
  }
  if (tiles.length === 0) throw new CodedError('DERIVATIVE_FAILED', 'No key picture could be decoded.');
  const grid = planGrid(tiles.length, first.video);
  await joinTiles(job, tiles, grid);
  const { tileWidthPx, tileHeightPx, columns, rows } = grid;
  await checkPicture(job, { name: NAME, widthPx: columns * tileWidthPx, heightPx: rows * tileHeightPx });
  const timesMs = tiles.map(({ timeMs }) => timeMs);
  return { name: NAME, tiles: { tileWidthPx, tileHeightPx, columns, timesMs } };
}

/** Decodes the key pictures next to these times of one part. One that cannot be decoded is left out. */
async function decodeTiles(
  job: DerivativeJob,
  { part, timesMs, shape }: { part: number; timesMs: readonly number[]; shape: TileGrid },
): Promise<Tile[]> {
  const { source, ffprobe, ffmpeg, folder, bounds } = job;
  const name = partName(part);
  const keyTimes = await ffprobe.keyTimes({ folder, name, format: 'webm' }, timesMs, bounds.signal);
  if (keyTimes.length === 0) return [];
  const list = `part-${part}.ffconcat`;
  await writeFile(join(folder, list), concatList(name, keyTimes), { mode: 0o600 });
  const { tileWidthPx: widthPx, tileHeightPx: heightPx } = shape;
  const fit = `scale=${widthPx}:${heightPx}:force_original_aspect_ratio=decrease,pad=${widthPx}:${heightPx}:-1:-1`;
  const prefix = `tile-${part}-`;
  const run = {
    what: 'decode the pictures of the sprite',
    folder,
    // The list is ours and names our files only; `option` in it wants `-safe 0`.
    inputs: [{ name: list, format: 'concat', options: ['-safe', '0', '-skip_frame', 'nokey'] } as const],
    output: {
      name: `${prefix}%d.bmp`,
      options: [
        '-map',
        '0:v:0',
        '-vf',
        fit,
        '-fps_mode',
        'passthrough',
        '-enc_time_base',
        '1:1',
        ...TILE_FILES,
      ],
    },
  };
  await ffmpeg.run(run, bounds);
  const made = new Set(await readdir(folder));
  const { offsetMs = 0 } = source.parts[part] ?? {};
  return keyTimes.flatMap((time, second) => {
    const file = `${prefix}${second}.bmp`;
    return made.has(file) ? [{ name: file, timeMs: Math.round(offsetMs + Number(time) * 1000) }] : [];
  });
}

/** Each file is named after the second of the joined list in which its picture lies. */
const TILE_FILES = ['-f', 'image2', '-frame_pts', '1', '-c:v', 'bmp'];

/** The same file again and again, each time one key picture of it, one second apart from the next. */
function concatList(name: string, keyTimes: readonly string[]): string {
  const lines = ['ffconcat version 1.0'];
  for (const time of keyTimes) {
    const behind = (Number(time) + 0.001).toFixed(6);
    lines.push(`file ${name}`, 'option format_whitelist webm,matroska', 'option protocol_whitelist file');
    lines.push(`option codec_whitelist ${DECODERS}`);
    lines.push(`inpoint ${time}`, `outpoint ${behind}`, 'duration 1');
  }
  return `${lines.join('\n')}\n`;
}

async function joinTiles(
  { ffmpeg, folder, bounds }: DerivativeJob,
  tiles: readonly Tile[],
  { columns, rows }: TileGrid,
): Promise<void> {
  for (const [index, { name }] of tiles.entries())
    await rename(join(folder, name), join(folder, `${index}.bmp`));
  const run = {
    what: 'join the pictures of the sprite',
    folder,
    inputs: [{ name: '%d.bmp', format: 'image2', options: ['-start_number', '0'] } as const],
    output: {
      name: NAME,
      options: ['-vf', `tile=${columns}x${rows}`, '-frames:v', '1', '-q:v', '5', '-f', 'mjpeg'],
    },
  };
  await ffmpeg.run(run, bounds);
}
