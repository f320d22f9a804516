/** A still picture of a sealed recording. Without one the recording is as good. */
import { stat } from 'node:fs/promises';
import { CodedError } from '@proofcast/shared';
import { publishFile } from './durable-file.ts';
import type { Ffmpeg } from './ffmpeg.ts';

const WIDTH_PX = 480;
/** Past the first moment, in which a screen is often still being arranged. */
const AT_PART = 0.1;

/** Throws `DERIVATIVE_FAILED`. `temporaryPath` may be left behind; whoever seals removes it. */
export async function makeThumbnail(
  ffmpeg: Ffmpeg,
  picture: { mediaPath: string; durationMs: number; temporaryPath: string; path: string },
  signal: AbortSignal,
): Promise<void> {
  const { mediaPath: inputPath, durationMs, temporaryPath: outputPath, path } = picture;
  for (const atSeconds of [(durationMs / 1000) * AT_PART, 0]) {
    await ffmpeg.grabFrame({ inputPath, atSeconds, widthPx: WIDTH_PX, outputPath }, signal);
    if (await hasBytes(outputPath)) return publishFile(outputPath, path);
  }
  throw new CodedError('DERIVATIVE_FAILED', 'No frame of the recording could be decoded.');
}

async function hasBytes(path: string): Promise<boolean> {
  try {
    return (await stat(path)).size > 0;
  } catch {
    // Not made at all is the same to the caller.
    return false;
  }
}
