/** What the services and the tests need built: the two user interfaces. Vite skips nothing, so we do. */
import { createHash } from 'node:crypto';
import { glob, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { runQuietly } from './run-step.ts';

const ROOT = resolve(import.meta.dirname, '..');

/** Builds `workspace` unless its sources, those of `shared` and the lock file are what the last build was made of. */
export async function buildWhenChanged(workspace: 'dashboard' | 'desktop'): Promise<boolean> {
  const stamp = join(ROOT, workspace, 'dist', '.built-from');
  const digest = await digestOfSources(workspace);
  if ((await readFile(stamp, 'utf8').catch(() => '')) === digest) return true;
  const { isPassed } = await runQuietly({
    name: `build of ${workspace}`,
    command: 'npm',
    args: ['run', '--silent', '--workspace', workspace, 'build'],
  });
  if (isPassed) {
    await mkdir(join(ROOT, workspace, 'dist'), { recursive: true });
    await writeFile(stamp, digest);
  }
  return isPassed;
}

async function digestOfSources(workspace: string): Promise<string> {
  const patterns = [`${workspace}/{src,public}/**/*`, `${workspace}/*.{ts,json,html}`, 'shared/src/**/*.ts'];
  const files = ['package-lock.json'];
  for await (const entry of glob(patterns, { cwd: ROOT, withFileTypes: true })) {
    if (entry.isFile()) files.push(join(entry.parentPath, entry.name));
  }
  const hash = createHash('sha256');
  for (const file of files.toSorted()) {
    const path = resolve(ROOT, file);
    hash
      .update(path.slice(ROOT.length))
      .update('\0')
      .update(await readFile(path));
  }
  return hash.digest('hex');
}
