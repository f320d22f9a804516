// Randomness that a test can repeat: the same seed gives the same numbers on every machine.

export interface Random {
  readonly seed: number;
  /** At least 0, below 1. */
  fraction(): number;
  /** A whole number, at least `from`, below `to`. */
  integer(from: number, to: number): number;
  pick<T>(values: readonly T[]): T;
  bytes(count: number): Uint8Array;
}

/** Mulberry32: 32 bits of state, good enough to choose test cases with, for nothing else. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const random: Random = {
    seed,
    fraction() {
      state = (state + 0x6d2b79f5) >>> 0;
      let mixed = Math.imul(state ^ (state >>> 15), state | 1);
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
    },
    integer: (from, to) => from + Math.floor(random.fraction() * (to - from)),
    pick<T>(values: readonly T[]): T {
      const value = values[random.integer(0, values.length)];
      if (value === undefined) throw new Error('Cannot pick from an empty list.');
      return value;
    },
    bytes: (count) => Uint8Array.from({ length: count }, () => random.integer(0, 256)),
  };
  return random;
}

/** A seed that differs from run to run, for fuzz tests to print; FUZZ_SEED in the environment repeats one. */
export function freshSeed(): number {
  const given = process.env['FUZZ_SEED'];
  return given ? Number(given) : Math.floor(Math.random() * 2 ** 32);
}
