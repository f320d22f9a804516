/** The far end of a `NamespaceDoor`: says on which port it is wanted, in the first line, and then passes bytes. */
import { connect, createServer } from 'node:net';
import { announceReady, readOptions } from './namespace-process.ts';

export interface DoorOptions {
  readonly socketPath: string;
}

const { socketPath } = readOptions() as DoorOptions;

const server = createServer((near) => {
  near.on('error', () => near.destroy());
  near.once('data', (first: Buffer) => {
    near.pause();
    const endOfLine = first.indexOf('\n');
    near.unshift(first.subarray(endOfLine + 1));
    const far = connect(Number(first.toString('latin1', 0, endOfLine)), '127.0.0.1');
    far.on('error', () => near.destroy());
    near.on('close', () => far.destroy());
    far.on('close', () => near.destroy());
    near.pipe(far).pipe(near);
  });
});
server.listen(socketPath, announceReady);
