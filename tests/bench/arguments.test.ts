import { describe, expect, it } from 'vitest';
import { readArguments } from './arguments.ts';
import type { Benchmark } from './benchmark.ts';

const benchmark = (...names: string[]): Benchmark => ({ names, run: async () => [] });
const SOME = [benchmark('relay.ack', 'relay.ack.watched'), benchmark('recording.merge')];

describe('the arguments of a run', () => {
  it('ask for everything when they name nothing', () => {
    const given = readArguments([], SOME);
    expect(given.wanted).toEqual(SOME);
    expect(given).toMatchObject({ jsonPath: null, effort: 'usual' });
  });

  it('choose by the beginnings of names, one result of a benchmark too', () => {
    const { wanted, isWanted } = readArguments(['relay.ack.w', 'recording'], SOME);
    expect(wanted).toEqual(SOME);
    expect(['relay.ack', 'relay.ack.watched', 'recording.merge'].filter(isWanted)).toEqual([
      'relay.ack.watched',
      'recording.merge',
    ]);
  });

  it('ask for what only explains other results by its name alone', () => {
    const explanation = { ...benchmark('effect.layers'), isExplanation: true };
    expect(readArguments([], [...SOME, explanation]).wanted).toEqual(SOME);
    expect(readArguments(['effect'], [...SOME, explanation]).wanted).toEqual([explanation]);
  });

  it('say where the results go and how much is run', () => {
    expect(readArguments(['--json', 'a.json', '--long', 'relay'], SOME)).toMatchObject({
      jsonPath: 'a.json',
      effort: 'long',
    });
    expect(readArguments(['--quick'], SOME).effort).toBe('quick');
  });

  it('are refused when they name what is not there, contradict each other or are unknown', () => {
    expect(() => readArguments(['relay', 'relais'], SOME)).toThrow(
      'No benchmark begins with relais; there are relay.ack, relay.ack.watched, recording.merge.',
    );
    expect(() => readArguments(['--long', '--quick'], SOME)).toThrow('either --long or --quick');
    expect(() => readArguments(['--fast'], SOME)).toThrow("Unknown option '--fast'");
  });
});
