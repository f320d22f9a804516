/** The benchmarks of the live path, as processes: each measures something, says so, and leaves nothing behind. */
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BenchmarkResult } from './benchmark.ts';

const MAIN = join(import.meta.dirname, 'main.ts');

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'proofcast-bench-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function runQuickly(...prefixes: string[]): Promise<BenchmarkResult[]> {
  const json = join(folder, 'results.json');
  await promisify(execFile)(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', MAIN, '--quick', '--json', json, ...prefixes],
    { env: { ...process.env, TMPDIR: folder } },
  );
  expect(await readdir(folder)).toEqual(['results.json']);
  return JSON.parse(await readFile(json, 'utf8')) as BenchmarkResult[];
}

describe('a quick run', () => {
  it('brings packets to viewers through our SFU and through a bare worker', async () => {
    const [result, ...others] = await runQuickly('sfu.consumers');
    expect(others).toEqual([]);
    expect(result).toMatchObject({ name: 'sfu.consumers', goal: '≥ 0.95×', met: result!.ratio! >= 0.95 });
    expect(result!.baseline).toBeGreaterThan(0);
    // Forwarding a packet takes a worker between a microsecond and a millisecond, on whatever machine.
    expect(result!.value).toBeGreaterThan(1_000);
    expect(result!.value).toBeLessThan(1_000_000);
  });

  it('kills workers until the picture moves again', async () => {
    const results = await runQuickly('sfu.recovery');
    expect(results.map(({ name }) => name)).toEqual(['sfu.recovery.p95', 'sfu.recovery.p95.single']);
    for (const { value, baseline, met } of results) {
      expect(value).toBeGreaterThan(0);
      expect(baseline).toBeNull();
      expect(met).toBe(value <= 1500);
    }
  });

  it('measures the whole app, the app without a live path and a recorder alone', async () => {
    const results = await runQuickly('publisher.cpu');
    expect(results.map(({ name }) => name)).toEqual(['publisher.cpu', 'publisher.cpu.live']);
    for (const { value, baseline } of results) {
      expect(value).toBeGreaterThan(0);
      expect(baseline).toBeGreaterThan(0);
    }
  });
});
