/** What each maker of a derivative gets, and what it gives back. */
import { CodedError, type SpriteTiles } from '@proofcast/shared';
import type { DerivativeSource } from './derivative-source.ts';
import type { Ffmpeg, FfmpegBounds } from './ffmpeg.ts';
import type { Ffprobe } from './ffprobe.ts';

export interface DerivativeJob {
  readonly source: DerivativeSource;
  /** The workspace, in which the parts of the recording lie as `partName` says. */
  readonly folder: string;
  readonly ffmpeg: Ffmpeg;
  readonly ffprobe: Ffprobe;
  readonly bounds: FfmpegBounds;
  /** From 0 to 1. */
  readonly onProgress: (progress: number) => void;
}

/** A file in the workspace that was checked. */
export interface MadeFile {
  readonly name: string;
  readonly tiles?: SpriteTiles;
}

/** Throws `DERIVATIVE_FAILED` and `STORAGE_FULL`, and the reason of the signal. */
export type DerivativeMaker = (job: DerivativeJob) => Promise<MadeFile>;

/** Throws unless the JPEG is one whole picture of this size; ffmpeg may say that all went well and have made nothing. */
export async function checkPicture(
  { ffprobe, folder, bounds }: DerivativeJob,
  picture: { name: string; widthPx: number; heightPx?: number },
): Promise<void> {
  const { name, widthPx, heightPx } = picture;
  const file = { folder, name, format: 'jpeg_pipe' } as const;
  const { video } = await ffprobe.probe(file, bounds.signal);
  const pictures = await ffprobe.countPictures(file, bounds.signal);
  const hasSize = video?.widthPx === widthPx && (heightPx === undefined || video.heightPx === heightPx);
  if (pictures === 1 && hasSize) return;
  throw new CodedError(
    'DERIVATIVE_FAILED',
    `The picture that was made has ${pictures} frames of ${video?.widthPx ?? 0}×${video?.heightPx ?? 0} pixels; ` +
      `one of ${widthPx}×${heightPx ?? 'any'} was wanted.`,
  );
}
