import { describe, expect, it } from 'vitest';
import { readArguments } from './arguments.ts';
import type { Benchmark, BenchmarkOptions, BenchmarkResult } from './benchmark.ts';
import { runBenchmarks } from './run-benchmarks.ts';

const result = (name: string): BenchmarkResult => ({
  name,
  value: 1,
  unit: 'ms',
  baseline: null,
  ratio: null,
  goal: '≤ 2 ms',
  met: true,
  conditions: 'none',
});

describe('a run', () => {
  it('goes on when a benchmark fails, and tells which it was', async () => {
    const broken: Benchmark = { names: ['a'], run: () => Promise.reject(new Error('no disk')) };
    const whole: Benchmark = { names: ['b'], run: async () => [result('b')] };
    const notes: string[] = [];
    const { results, failures } = await runBenchmarks(readArguments([], [broken, whole]), (text) =>
      notes.push(text),
    );
    expect(results).toEqual([result('b')]);
    expect(failures).toEqual([{ names: ['a'], error: new Error('no disk') }]);
    expect(notes.join('\n')).toContain('no disk');
  });

  it('keeps only the results that were asked for, and passes the effort on', async () => {
    let seen: BenchmarkOptions['effort'] | undefined;
    const two: Benchmark = {
      names: ['a.x', 'a.y'],
      run: async ({ effort }) => {
        seen = effort;
        return [result('a.x'), result('a.y')];
      },
    };
    const { results } = await runBenchmarks(readArguments(['--long', 'a.y'], [two]), () => undefined);
    expect(results.map(({ name }) => name)).toEqual(['a.y']);
    expect(seen).toBe('long');
  });
});
