/** The filter graph that lays the parts of a recording onto one time line. Pure. */
import type { SourcePart } from './derivative-source.ts';

/**
 * Sound is laid in pieces of this length at least. Within a piece silence is filled in from memory, which would not
 * hold the silence of hours; between pieces it is made on the way.
 */
const MIN_PIECE_MS = 60_000;
const MAX_PIECES = 120;

const SOUND = 'aformat=sample_fmts=fltp:sample_rates=48000:channel_layouts=stereo';

export interface TimelinePart extends SourcePart {
  readonly hasAudio: boolean;
}

export interface TimelineShape {
  readonly parts: readonly TimelinePart[];
  readonly durationMs: number;
  /** Of the picture; even numbers. Parts of another size are fitted into it. */
  readonly widthPx: number;
  readonly heightPx: number;
}

/**
 * Gives the outputs `[v]` and, when any part has sound, `[a]`. A picture stays as long as no other follows, so that a
 * gap is as long as it was; sound has no gaps, because players let what follows one come too early.
 */
export function timelineFilters(shape: TimelineShape): { graph: string; hasAudio: boolean } {
  const hasAudio = shape.parts.some((part) => part.hasAudio);
  const chains = [...pictureChains(shape), ...(hasAudio ? soundChains(shape) : [])];
  return { graph: chains.join(';'), hasAudio };
}

function pictureChains({ parts, widthPx, heightPx }: TimelineShape): string[] {
  const size = `${widthPx}:${heightPx}`;
  const fit = `scale=${size}:force_original_aspect_ratio=decrease,pad=${size}:-1:-1`;
  const like = `${fit},setsar=1,format=yuv420p,settb=1/1000`;
  const chains = parts.map(
    ({ offsetMs }, index) => `[${index}:v:0]${like},setpts=PTS+${seconds(offsetMs)}/TB[v${index}]`,
  );
  const inputs = parts.map((_, index) => `[v${index}]`).join('');
  return [...chains, `${inputs}${parts.length === 1 ? 'null' : `interleave=nb_inputs=${parts.length}`}[v]`];
}

function soundChains({ parts, durationMs }: TimelineShape): string[] {
  const pieceMs = Math.max(MIN_PIECE_MS, durationMs / MAX_PIECES);
  const chains: string[] = [];
  const pieces: string[] = [];
  for (const [index, { offsetMs, hasAudio }] of parts.entries()) {
    const lengthMs = (parts[index + 1]?.offsetMs ?? durationMs) - offsetMs;
    if (hasAudio) chains.push(...soundOfPart({ index, lengthMs, pieceMs }, pieces));
    else {
      const label = `[p${pieces.length}]`;
      chains.push(`anullsrc=r=48000:cl=stereo:d=${seconds(lengthMs)},${SOUND}${label}`);
      pieces.push(label);
    }
  }
  const join = pieces.length === 1 ? 'anull' : `concat=n=${pieces.length}:v=0:a=1`;
  return [...chains, `${pieces.join('')}${join},${SOUND}[a]`];
}

/** Adds the labels of its pieces to `pieces`; each is as long as planned, whatever sound there is. */
function soundOfPart(
  { index, lengthMs, pieceMs }: { index: number; lengthMs: number; pieceMs: number },
  pieces: string[],
): string[] {
  const count = Math.max(1, Math.ceil(lengthMs / pieceMs));
  const startOf = (piece: number): number => Math.round((piece * lengthMs) / count);
  const cuts = Array.from({ length: count - 1 }, (_, piece) => seconds(startOf(piece + 1)));
  const raw = Array.from({ length: count }, (_, piece) => `[s${index}x${piece}]`);
  const split = count === 1 ? 'anull' : `asegment=timestamps=${cuts.join('|')}`;
  const chains = [`[${index}:a:0]${SOUND},${split}${raw.join('')}`];
  for (const [piece, input] of raw.entries()) {
    const label = `[p${pieces.length}]`;
    const length = seconds(startOf(piece + 1) - startOf(piece));
    // Silence that no sound goes before has no times; they are counted from the samples.
    chains.push(
      `${input}asetpts=PTS-${seconds(startOf(piece))}/TB,aresample=async=1:first_pts=0,` +
        `apad=whole_dur=${length},asetpts=N/SR/TB,atrim=end=${length}${label}`,
    );
    pieces.push(label);
  }
  return chains;
}

function seconds(timeMs: number): string {
  return (timeMs / 1000).toFixed(3);
}
