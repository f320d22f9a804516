/** The command line of the relay's machine: looks at what is on its disk, beside a running relay or without one. */
import { parseArgs } from 'node:util';
import { checkJournalsAt } from './commands/check-journals.ts';
import { EXIT_CODES, type Verdict } from './commands/exit-codes.ts';
import { verifyRecording } from './commands/verify-recording.ts';

const USAGE = `Usage:
  proofcast journal check <data directory or journal file> [--json]
  proofcast verify <recording.webm> [recording.manifest.json] [--json]

Ends with 0 when all is whole, 1 when nothing is lost, 2 when something is, 3 when that cannot be said.
`;

const write = (text: string): void => {
  process.stdout.write(text);
};

try {
  process.exitCode = EXIT_CODES[await run(process.argv.slice(2))];
} catch (error) {
  process.stderr.write(`${explain(error)}\n`);
  process.exitCode = EXIT_CODES.unknown;
}

/** What went wrong, and what was behind it. */
function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : `${error.message}\n  ${explain(error.cause)}`;
}

function run(args: string[]): Promise<Verdict> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { json: { type: 'boolean', default: false } },
  });
  const [command, first, second, ...rest] = positionals;
  const asJson = values.json;
  if (command === 'journal' && first === 'check' && second !== undefined && rest.length === 0) {
    return checkJournalsAt(second, { asJson, write });
  }
  if (command === 'verify' && first !== undefined && rest.length === 0) {
    return verifyRecording({ mediaPath: first, manifestPath: second ?? null, asJson, write });
  }
  throw new Error(USAGE);
}
