/** Documents and code agree: rules and tests, error codes, environment variables. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { ERRORS } from '@proofcast/shared';
import { describe, expect, it } from 'vitest';
import { RELAY_METRICS } from '../../relay/src/metrics/metric-definitions.ts';
import { SFU_METRICS } from '../../sfu/src/metric-definitions.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const read = (path: string) => readFileSync(resolve(ROOT, path), 'utf8');
/** Files of the project, without what git ignores. */
const projectFiles = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
  cwd: ROOT,
  encoding: 'utf8',
})
  .split('\n')
  .filter(Boolean);
const sourceFiles = projectFiles.filter((path) => /\.(ts|mjs|vue)$/.test(path));

describe('numbered rules', () => {
  const rules = ['docs/protocol.md', 'docs/journal.md'].flatMap((path) =>
    [...read(path).matchAll(/^- \*\*([A-Z]\d+)\*\* /gm)].map((match) => match[1]!),
  );
  const testFiles = sourceFiles.filter((path) => path.endsWith('.test.ts'));
  const proven = new Map<string, string>();
  for (const path of testFiles) {
    for (const match of read(path).matchAll(/['"`]((?:\[[A-Z]\d+\] ?)+)/g)) {
      for (const [, rule] of match[1]!.matchAll(/\[([A-Z]\d+)\]/g)) proven.set(rule!, path);
    }
  }

  it('are each written down once', () => {
    expect(rules.filter((rule, index) => rules.indexOf(rule) !== index)).toEqual([]);
    expect(rules.length).toBeGreaterThan(40);
  });

  it('have each at least one test that names them', () => {
    expect(rules.filter((rule) => !proven.has(rule))).toEqual([]);
  });

  it('exist for every id that a test names', () => {
    const unknown = [...proven].filter(([rule]) => !rules.includes(rule));
    expect(unknown).toEqual([]);
  });
});

describe('docs/errors.md', () => {
  it('lists exactly the codes of the registry, with their values', () => {
    const documented = [
      ...read('docs/errors.md').matchAll(/^\| `(\w+)` \| (\d+) \| (\d+) \| (yes|no) \| (.+) \|$/gm),
    ];
    const rows = documented.map(([, code, status, closeCode, retry, meaning]) => [
      code,
      { status: Number(status), closeCode: Number(closeCode), retry: retry === 'yes', meaning },
    ]);
    expect(Object.fromEntries(rows)).toEqual(ERRORS);
    expect(rows).toHaveLength(Object.keys(ERRORS).length);
  });
});

describe('error codes', () => {
  it('are each used somewhere outside of the registry', () => {
    const code = sourceFiles
      .filter((path) => !path.endsWith('.test.ts') && path !== 'shared/src/errors.ts')
      .map(read)
      .join('\n');
    expect(Object.keys(ERRORS).filter((name) => !code.includes(`'${name}'`))).toEqual([]);
  });
});

describe('docs/operations.md', () => {
  it('lists exactly the environment variables that the services and the desktop app read', () => {
    const document = read('docs/operations.md').split('## Set-up and tests')[0]!;
    const documented = [...document.matchAll(/^\| `([A-Z][A-Z0-9_]+)` \|/gm)].map((match) => match[1]!);
    const configs = ['relay/src/config.ts', 'sfu/src/config.ts', 'desktop/src/main/config.ts']
      .map(read)
      .join('\n');
    // A variable stands there as a string, or as a key of the schema of the environment.
    const named = configs.matchAll(/'([A-Z][A-Z0-9]*_[A-Z0-9_]+)'|^  ([A-Z][A-Z0-9]*_[A-Z0-9_]+): Type/gm);
    const used = new Set([...named].map((match) => match[1] ?? match[2]!));
    expect(documented.toSorted()).toEqual([...used].toSorted());
  });

  it('lists exactly the metrics of relay and SFU, with type, label and meaning', () => {
    const documented = [
      ...read('docs/operations.md').matchAll(/^\| `(proofcast_\w+)` \| (\w+) \| (.*) \| (.+) \|$/gm),
    ].map(([, name, type, label, meaning]) => [name, type, label, meaning]);
    const defined = [...Object.entries(RELAY_METRICS), ...Object.entries(SFU_METRICS)].map(
      ([name, definition]) => {
        const { name: label, values } = 'label' in definition ? definition.label : { name: '', values: [] };
        const told =
          label === 'code' ? '`code`: an [error code](errors.md)' : `\`${label}\`: ${values.join(', ')}`;
        return [name, definition.type, label === '' ? '' : told, definition.help];
      },
    );
    expect(documented).toEqual(defined);
  });

  it('is true that only config.ts reads the environment of a service', () => {
    const readers = sourceFiles.filter(
      (path) =>
        /^(relay|sfu|shared)\/src\//.test(path) &&
        !path.endsWith('.test.ts') &&
        read(path).includes('process.env'),
    );
    expect(readers.filter((path) => !/\/(config|main)\.ts$/.test(path))).toEqual([]);
  });
});

describe('links in documents', () => {
  it('lead to files that exist', () => {
    const broken: string[] = [];
    for (const path of projectFiles.filter((file) => file.endsWith('.md'))) {
      for (const [, target] of read(path).matchAll(/\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)/g)) {
        const linked = resolve(ROOT, path, '..', target!);
        const known = projectFiles.some(
          (file) => resolve(ROOT, file) === linked || resolve(ROOT, file).startsWith(`${linked}/`),
        );
        if (!known) broken.push(`${path} → ${target}`);
      }
    }
    expect(broken).toEqual([]);
  });
});

describe('the repository', () => {
  it('has the fixed top level and nothing else', () => {
    const topLevel = new Set(projectFiles.map((path) => path.split('/')[0]!));
    const dotless = [...topLevel].filter((name) => !name.startsWith('.')).toSorted();
    expect(dotless).toEqual(
      [
        'LICENSE', 'README.md', 'dashboard', 'desktop', 'docs', 'package-lock.json', 'package.json', 'relay', 'scripts',
        'sfu', 'shared', 'tests', 'tsconfig.base.json', 'vitest.config.ts',
      ].toSorted(),
    ); // prettier-ignore
  });

  it('names no folder of a machine and no registry', () => {
    // Spelled with brackets, so that this file does not name them either.
    const pattern = /[/]root[/]|[/]work[/]|registry[.]npmjs|deb[.]debian[.]org/;
    const textFiles = projectFiles.filter((path) => !/\.(webm|png|ico|woff2)$/.test(path));
    expect(textFiles.filter((path) => pattern.test(read(path)))).toEqual([]);
  });

  it('pins every dependency exactly', () => {
    const loose: string[] = [];
    for (const path of projectFiles.filter((file) => file.endsWith('package.json'))) {
      const manifest = JSON.parse(read(path)) as Record<string, Record<string, string> | undefined>;
      for (const kind of ['dependencies', 'devDependencies', 'optionalDependencies']) {
        for (const [name, version] of Object.entries(manifest[kind] ?? {})) {
          if (!/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version)) loose.push(`${path}: ${name}@${version}`);
        }
      }
    }
    expect(loose).toEqual([]);
  });
});
