/** The process of a `LongLine`: socat makes the packets of the device datagrams, which are kept for a while here. */
import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { seededRandom } from '../../shared/testing/random.ts';
import { LONG_LINE, type LongLineOptions } from './long-line.ts';
import { announceReady, readOptions } from './namespace-process.ts';

/** Nobody else listens in this namespace. */
const PORTS = { here: 7_000, device: 7_001 } as const;
/** More than a packet can have. */
const BLOCK_BYTES = 65_535;
/** What socat says, at this level, once both of its ends are open. */
const TALKATIVE = ['-d', '-d'];
const READY = 'starting data transfer loop';

const { delayMs, lossShare, seed } = readOptions() as LongLineOptions;
const random = seededRandom(seed);

const socket = createSocket('udp4');
socket.on('message', (packet) => {
  if (random.fraction() < lossShare) return;
  // Timers of one duration end in the order in which they were set: nothing is overtaken.
  setTimeout(() => socket.send(packet, PORTS.device, '127.0.0.1'), delayMs);
});
socket.bind(PORTS.here, '127.0.0.1');
await once(socket, 'listening');

const device = spawn(
  // It must not outlive this process, however that ends.
  'setpriv',
  [
    '--pdeathsig',
    'KILL',
    'socat',
    ...TALKATIVE,
    '-b',
    String(BLOCK_BYTES),
    `TUN:198.19.255.1/30,tun-name=${LONG_LINE.device},iff-no-pi,iff-up`,
    `UDP4:127.0.0.1:${PORTS.here},bind=127.0.0.1:${PORTS.device}`,
  ],
  { stdio: ['ignore', 'ignore', 'pipe'] },
);
device.on('exit', () => process.exit(1));
createInterface({ input: device.stderr }).on('line', (line) => {
  if (line.includes(READY)) announceReady();
  // An error or a warning; what else it says is about how it goes on.
  else if (/ [EW] /.test(line)) process.stderr.write(`${line}\n`);
});
