/** How the time of a computation grows with its input, for tests that must not depend on the speed of the machine. */

const RUNS = 7;

/**
 * How many times as long `run` takes for four times as much: about 4 when it takes each thing once, 16 when it compares
 * each with each. Of several runs the fastest counts: others may have been held up.
 */
export function growthOf(run: (count: number) => unknown, count: number): number {
  // Before anything is measured, the code is compiled.
  run(count);
  return fastestMs(() => run(4 * count)) / fastestMs(() => run(count));
}

/** Clearly below the growth of what compares each with each, and above that of sorting, noise included. */
export const MUCH_GROWTH = 9;

function fastestMs(run: () => unknown): number {
  let fastest = Number.POSITIVE_INFINITY;
  for (let n = 0; n < RUNS; n++) {
    const startedMs = performance.now();
    run();
    fastest = Math.min(fastest, performance.now() - startedMs);
  }
  return fastest;
}
