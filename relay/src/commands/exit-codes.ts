/** What the process ends with, for scripts. The worst that was found counts. Documented in docs/operations.md. */
export const EXIT_CODES = {
  whole: 0,
  /** Nothing that was ever confirmed is lost. */
  harmless: 1,
  damaged: 2,
  /** Nothing could be said: wrong arguments, files that cannot be read. */
  unknown: 3,
} as const;

export type Verdict = keyof typeof EXIT_CODES;

/** From best to worst: whoever cannot read everything does not say that only the harmless was found. */
const BY_GRAVITY: readonly Verdict[] = ['whole', 'harmless', 'unknown', 'damaged'];

export function worstOf(verdicts: readonly Verdict[]): Verdict {
  return BY_GRAVITY.findLast((verdict) => verdicts.includes(verdict)) ?? 'whole';
}
