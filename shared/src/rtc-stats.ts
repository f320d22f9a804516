/** Reading of what a browser's connection says about itself (W3C Identifiers for WebRTC's Statistics API). */

/** One object of a report; which members it has depends on its `type`, and on the browser. */
export type RtcStatsEntry = Readonly<Record<string, unknown>>;

/** Takes an `RTCStatsReport`, which is a map. */
export function readRtcStats(report: { values(): Iterable<unknown> }): RtcStatsEntry[] {
  return [...report.values()] as RtcStatsEntry[];
}

/** Of a member; 0 for those that do not have it. */
export function sumOf(entries: readonly RtcStatsEntry[], member: string): number {
  return entries.reduce((sum, entry) => sum + numberOf(entry[member]), 0);
}

/** Of a member, 0 at least. */
export function maxOf(entries: readonly RtcStatsEntry[], member: string): number {
  return Math.max(0, ...entries.map((entry) => numberOf(entry[member])));
}

/** Of the pair of candidates in use, in seconds; 0 while it is not known. */
export function roundTripS(entries: readonly RtcStatsEntry[]): number {
  const pair = entries.find(({ type, nominated }) => type === 'candidate-pair' && nominated === true);
  return numberOf(pair?.['currentRoundTripTime']);
}

function numberOf(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) ? value : 0;
}
