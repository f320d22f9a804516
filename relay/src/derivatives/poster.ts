/** A still picture of a recording, for lists. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CodedError } from '@proofcast/shared';
import { checkPicture, type DerivativeJob, type MadeFile } from './derivative-job.ts';
import type { DerivativeSource } from './derivative-source.ts';
import { partName } from './workspace.ts';

const NAME = 'poster.jpg';
const WIDTH_PX = 480;
/** Past the first moment, in which a screen is often still being arranged. */
const AT_PART = 0.1;

export async function makePoster(job: DerivativeJob): Promise<MadeFile> {
  for (const place of [placeOf(job.source, job.source.durationMs * AT_PART), { part: 0, atMs: 0 }]) {
    await grabPicture(job, place);
    if (!(await isThere(join(job.folder, NAME)))) continue;
    await checkPicture(job, { name: NAME, widthPx: WIDTH_PX });
    return { name: NAME };
  }
  throw new CodedError('DERIVATIVE_FAILED', 'No picture of the recording could be decoded.');
}

interface Place {
  readonly part: number;
  readonly atMs: number;
}

/** The part that a time lies in, and where in its file. */
function placeOf({ parts }: DerivativeSource, timeMs: number): Place {
  const part = Math.max(
    0,
    parts.findLastIndex(({ offsetMs }) => offsetMs <= timeMs),
  );
  return { part, atMs: Math.max(0, timeMs - (parts[part]?.offsetMs ?? 0)) };
}

/** Makes no file when there is no picture at that time or behind it. */
function grabPicture({ ffmpeg, folder, bounds }: DerivativeJob, { part, atMs }: Place): Promise<void> {
  const run = {
    what: 'make the poster',
    folder,
    inputs: [{ name: partName(part), format: 'webm', options: ['-ss', (atMs / 1000).toFixed(3)] } as const],
    output: {
      name: NAME,
      options: ['-map', '0:v:0', '-frames:v', '1', '-vf', `scale=${WIDTH_PX}:-2`, '-q:v', '5', '-f', 'mjpeg'],
    },
  };
  return ffmpeg.run(run, bounds);
}

async function isThere(path: string): Promise<boolean> {
  try {
    return (await stat(path)).size > 0;
  } catch {
    // Not made at all is the same to the caller.
    return false;
  }
}
