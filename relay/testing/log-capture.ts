import { Writable } from 'node:stream';
import { pino, type Logger } from 'pino';

/** A log at its most talkative, kept in memory. */
export class LogCapture {
  text = '';
  readonly logger: Logger = pino(
    { level: 'trace' },
    new Writable({
      write: (part: Buffer, _encoding, done) => {
        this.text += part.toString();
        done();
      },
    }),
  );

  get lines(): Record<string, unknown>[] {
    return this.text
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }
}
