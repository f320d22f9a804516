/** Chapters that say where a recording has no picture, and why. Pure. */
import type { GapReason } from '@proofcast/shared';
import type { DerivativeSource, SourceGap } from './derivative-source.ts';

/** Of very many gaps only the longest become chapters; players read no endless lists. */
const MAX_GAPS = 100;

const REASONS: Readonly<Record<GapReason, string>> = {
  paused: 'paused by the person',
  policy: 'kept back by policy',
  'screen-locked': 'screen locked',
  'capture-stalled': 'capture stalled',
  'source-changed': 'source changed',
  'recorder-restarted': 'recorder restarted',
  suspended: 'device asleep',
  'spool-full': 'spool full',
  'publisher-crashed': 'publisher crashed',
  'publisher-offline': 'publisher offline',
  'no-data': 'no picture came',
  unknown: 'reason unknown',
};

export interface Chapter {
  readonly fromMs: number;
  readonly toMs: number;
  readonly title: string;
}

/** Gaps, and between them what there are pictures of, from beginning to end; none when there is no gap. */
export function planChapters({ gaps, startedAtMs, durationMs }: DerivativeSource): Chapter[] {
  if (gaps.length === 0) return [];
  const chapters: Chapter[] = [];
  let atMs = 0;
  const addPictures = (toMs: number): void => {
    if (toMs > atMs) chapters.push({ fromMs: atMs, toMs, title: formatTime(startedAtMs + atMs) });
  };
  for (const gap of longest(gaps)) {
    const fromMs = Math.max(atMs, Math.round(gap.fromMs));
    const toMs = Math.round(gap.toMs);
    if (toMs <= fromMs) continue;
    addPictures(fromMs);
    const seconds = Math.max(1, Math.round((toMs - fromMs) / 1000));
    chapters.push({ fromMs, toMs, title: `Gap of ${seconds} s: ${REASONS[gap.reason]}` });
    atMs = toMs;
  }
  addPictures(Math.round(durationMs));
  return chapters;
}

/** The file format of ffmpeg for titles and chapters. Nothing in it came from people, so nothing needs escaping. */
export function formatMetadata(tags: Readonly<Record<string, string>>, chapters: readonly Chapter[]): string {
  const lines = [';FFMETADATA1', ...Object.entries(tags).map(([name, text]) => `${name}=${text}`)];
  for (const { fromMs, toMs, title } of chapters) {
    lines.push('[CHAPTER]', 'TIMEBASE=1/1000', `START=${fromMs}`, `END=${toMs}`, `title=${title}`);
  }
  return `${lines.join('\n')}\n`;
}

function longest(gaps: readonly SourceGap[]): SourceGap[] {
  const kept = gaps.toSorted((a, b) => b.toMs - b.fromMs - (a.toMs - a.fromMs)).slice(0, MAX_GAPS);
  return kept.toSorted((a, b) => a.fromMs - b.fromMs);
}

function formatTime(timeMs: number): string {
  return `${new Date(timeMs).toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}
