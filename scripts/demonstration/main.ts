/**
 * The demonstration as a process: `node main.ts <relay URL> <folder>`, with the credentials of the admin in ADMIN_EMAIL
 * and ADMIN_PASSWORD. Ends in order on SIGTERM, and when whoever started it is gone.
 */
import { runDemonstration, type Demonstration } from './demonstration.ts';

const [relayUrl, dataDir] = process.argv.slice(2);
if (!relayUrl || !dataDir) throw new Error('Usage: main.ts <relay URL> <folder>');

let demonstration: Demonstration | null = null;
let isEnding = false;
for (const event of ['SIGTERM', 'SIGINT', 'disconnect'] as const) process.on(event, () => void end());

try {
  demonstration = await runDemonstration({
    relayUrl,
    dataDir,
    admin: { email: process.env['ADMIN_EMAIL'] ?? '', password: process.env['ADMIN_PASSWORD'] || undefined },
    say: (message) => console.log(`  ${message}`),
  });
} catch (error) {
  if (!isEnding)
    console.error(
      `  The demonstration could not start: ${error instanceof Error ? error.message : String(error)}`,
    );
}
if (isEnding) await demonstration?.close();
if (isEnding || !demonstration) process.exit(0);

/** When it is still starting, the code above ends it as soon as it has started. */
async function end(): Promise<void> {
  isEnding = true;
  if (!demonstration) return;
  await demonstration.close();
  process.exit(0);
}
