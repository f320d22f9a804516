/** `npm run bench` itself, as a process: it measures, says so, and leaves nothing behind. */
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BenchmarkResult } from './benchmark.ts';

const MAIN = join(import.meta.dirname, 'main.ts');
const runMain = (args: readonly string[], env: NodeJS.ProcessEnv = {}) =>
  promisify(execFile)(process.execPath, ['--disable-warning=ExperimentalWarning', MAIN, ...args], {
    env: { ...process.env, ...env },
  });

describe('a quick run', () => {
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'proofcast-bench-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('measures the relay as a process against its baselines and writes what it found', async () => {
    const json = join(folder, 'results.json');
    const { stdout } = await runMain(['--quick', '--json', json, 'relay.fanout.64', 'relay.ack.p99'], {
      TMPDIR: folder,
    });
    const results = JSON.parse(await readFile(json, 'utf8')) as BenchmarkResult[];
    expect(results.map(({ name }) => name)).toEqual([
      'relay.fanout.64',
      'relay.ack.p99',
      'relay.ack.p99.watched',
    ]);
    for (const { name, value, baseline, ratio, met, goal, conditions } of results) {
      expect(value).toBeGreaterThan(0);
      expect(baseline).toBeGreaterThan(0);
      expect(ratio).toBeGreaterThan(0);
      expect(typeof met).toBe('boolean');
      expect(stdout).toContain(name);
      expect(stdout).toContain(goal);
      expect(stdout).toContain(conditions);
    }
    expect(await readdir(folder)).toEqual(['results.json']);
  }, 120_000);

  it('that asks for something unknown ends with 1 and says what there is', async () => {
    await expect(runMain(['nonsense'])).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining('No benchmark begins with nonsense; there are relay.fanout.64'),
    });
  });
});
