import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

const ROOT = resolve(import.meta.dirname, '../..');
const HAND_OVER_MODULE = new URL('hand-over.mjs', import.meta.url).href;

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'proofcast-hand-over-'));
});

afterEach(async () => {
  await rm(directory, { recursive: true });
});

/** A process that hands over to `program`, as the bootstrap does once all is in place. */
async function handOverTo(program: string, args: string[] = []) {
  const file = join(directory, 'program.ts');
  const options = { root: ROOT, file, args, workerBinary: '/the/worker' };
  const script = `import(${JSON.stringify(HAND_OVER_MODULE)}).then((it) => it.handOver(${JSON.stringify(options)}))`;

  await writeFile(file, program);

  // A session of its own has no terminal, so that the signals of the test are the only ones.
  const parent = spawn(process.execPath, ['-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  });

  return { parent, lines: createInterface({ input: parent.stdout }), ended: once(parent, 'exit') };
}

describe('handOver', () => {
  test('runs TypeScript on Node 24 with its arguments, the worker and the packages on the PATH', async () => {
    const { lines, ended } = await handOverTo(
      `const facts: unknown[] = [process.version, process.argv.slice(2), process.env['MEDIASOUP_WORKER_BIN'],
         process.env['PATH']!.split(':')[0]];
       console.log(JSON.stringify(facts));`,
      ['--json', 'a b'],
    );
    const [line] = await once(lines, 'line');

    expect(JSON.parse(String(line))).toEqual([
      expect.stringMatching(/^v24\./),
      ['--json', 'a b'],
      '/the/worker',
      join(ROOT, 'node_modules', '.bin'),
    ]);
    expect(await ended).toEqual([0, null]);
  });

  test('ends with the exit code of the program', async () => {
    const { ended } = await handOverTo('process.exit(7);');

    expect(await ended).toEqual([7, null]);
  });

  test('ends by the signal that ended the program', async () => {
    const { ended } = await handOverTo(`process.kill(process.pid, 'SIGTERM'); setInterval(() => {}, 1000);`);

    expect(await ended).toEqual([null, 'SIGTERM']);
  });

  test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
    'passes %s on once and waits for the program to clean up',
    async (signal) => {
      const { parent, lines, ended } = await handOverTo(`
        let received = 0;
        process.on('${signal}', () => {
          received += 1;
          setTimeout(() => { console.log('received', received); process.exit(3); }, 200);
        });
        setInterval(() => {}, 1000);
        console.log('ready');`);

      await once(lines, 'line');
      parent.kill(signal);

      expect(await once(lines, 'line')).toEqual(['received 1']);
      expect(await ended).toEqual([3, null]);
    },
  );
});
