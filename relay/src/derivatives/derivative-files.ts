/** What the finished files are called and what they contain. */
import type { DerivativeKind } from '@proofcast/shared';
import { join } from 'node:path';
import type { RecordingPaths } from '../recording/paths.ts';
import type { DerivativeMaker } from './derivative-job.ts';
import { makeJoined } from './joined.ts';
import { makeMp4 } from './mp4-export.ts';
import { makePoster } from './poster.ts';
import { makeSprite } from './sprite.ts';

export interface DerivativeFormat {
  readonly make: DerivativeMaker;
  readonly contentType: string;
  readonly extension: string;
  /** Whether browsers are to keep it as a file instead of showing it. */
  readonly isDownload: boolean;
}

export const DERIVATIVE_FORMATS: Readonly<Record<DerivativeKind, DerivativeFormat>> = {
  poster: { make: makePoster, contentType: 'image/jpeg', extension: 'jpg', isDownload: false },
  sprite: { make: makeSprite, contentType: 'image/jpeg', extension: 'sprite.jpg', isDownload: false },
  mp4: { make: makeMp4, contentType: 'video/mp4', extension: 'mp4', isDownload: true },
  joined: { make: makeJoined, contentType: 'video/webm', extension: 'joined.webm', isDownload: false },
};

/** Relative to the folder of recordings. */
export function derivativePath(paths: RecordingPaths, kind: DerivativeKind): string {
  if (kind === 'poster') return paths.thumbnail;
  return join(paths.folder, `${paths.namePrefix}${DERIVATIVE_FORMATS[kind].extension}`);
}
