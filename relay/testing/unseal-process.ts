/**
 * Unseals in a process of its own, for tests that kill it. Arguments: the folder of the journals, the manifest, and the
 * identity as JSON. Says on stdout when it begins and when it is done.
 */
import { pino } from 'pino';
import { journalFolder } from '../src/journal/journal-files.ts';
import type { RecordingIdentity } from '../src/journal/journal-start.ts';
import { JournalStore } from '../src/journal/store.ts';
import { systemMediaClock } from '../src/media-clock.ts';
import { unseal } from '../src/recording/unseal.ts';

const [journals = '', manifestPath = '', identity = ''] = process.argv.slice(2);
const store = new JournalStore({
  folder: journalFolder(journals),
  clock: systemMediaClock,
  commitIntervalMs: 1,
  log: pino({ level: 'silent' }),
});
process.stdout.write('begin\n');
await unseal({
  identity: JSON.parse(identity) as RecordingIdentity,
  manifestPath,
  store,
  signal: new AbortController().signal,
});
process.stdout.write('done\n');
