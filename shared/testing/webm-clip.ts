// Loads the recordings in webm-clips/, with the slices in which the recorder delivered them.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface WebmClip {
  name: string;
  path: string;
  bytes: Uint8Array;
  /** The same bytes, cut where the recorder cut them. */
  slices: Uint8Array[];
  mimeType: string;
}

export const WEBM_CLIP_NAMES = ['vp8', 'vp9', 'vp8-opus', 'vp9-opus', 'vp9-alpha'] as const;
export type WebmClipName = (typeof WEBM_CLIP_NAMES)[number];

const CLIPS_FOLDER = join(import.meta.dirname, 'webm-clips');

/** One of the recordings that come with the code. */
export function loadWebmClip(name: WebmClipName): WebmClip {
  return loadClipFrom(CLIPS_FOLDER, name);
}

/** All of them, or all that `record-clips.ts` put into another folder. */
export function loadWebmClips(folder: string = CLIPS_FOLDER): WebmClip[] {
  const names = readdirSync(folder).filter((file) => file.endsWith('.webm'));
  return names.toSorted().map((file) => loadClipFrom(folder, file.slice(0, -'.webm'.length)));
}

function loadClipFrom(folder: string, name: string): WebmClip {
  const path = join(folder, `${name}.webm`);
  const bytes = new Uint8Array(readFileSync(path));
  const description: unknown = JSON.parse(readFileSync(join(folder, `${name}.json`), 'utf8'));
  const { mimeType, sliceBytes } = description as { mimeType: string; sliceBytes: number[] };
  const slices: Uint8Array[] = [];
  let start = 0;
  for (const length of sliceBytes) {
    slices.push(bytes.subarray(start, start + length));
    start += length;
  }
  if (start !== bytes.length)
    throw new Error(`The slices of ${name} have ${start} bytes: expected ${bytes.length}.`);
  return { name, path, bytes, slices, mimeType };
}
