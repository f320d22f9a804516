/** The process of a TURN server for a test network: coturn, for as long as the test wants it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { announceReady, readOptions } from './namespace-process.ts';
import type { TurnOptions } from './turn-server.ts';

const POLL_MS = 50;

const { address, port, secret } = readOptions() as TurnOptions;

const turn = spawn(
  'turnserver',
  [
    ['-n', '--no-cli', '--no-tls', '--no-dtls', '--simple-log', '--log-file=stdout'],
    ['--use-auth-secret', `--static-auth-secret=${secret}`, '--realm=proofcast.test'],
    [`--listening-ip=${address}`, `--listening-port=${port}`, `--relay-ip=${address}`],
    // As in operations.md: it leads to the SFU and nowhere else.
    ['--denied-peer-ip=0.0.0.0-255.255.255.255', `--allowed-peer-ip=${address}`],
    ['--pidfile=/dev/null'],
  ].flat(),
  { stdio: 'ignore' },
);
process.on('exit', () => turn.kill());
void once(turn, 'exit').then(([code]) => process.exit(Number(code ?? 1)));
while (!(await listens())) await wait(POLL_MS);
announceReady();

function listens(): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, address);
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}
