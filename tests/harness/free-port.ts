/** Ports for services that must know one another's address before they start, and find it free when they come back. */
import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';

/** Below those that Linux hands out by itself, so that no browser gets one for a moment between two runs of a service. */
const FIRST_PORT = 10_000;
const END_PORT = 32_000;
const ATTEMPTS = 50;

const given = new Set<number>();

/** A port of this machine that is free at the moment, for TCP and for UDP; another one at each call. */
export async function findFreePort(): Promise<number> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const port = randomInt(FIRST_PORT, END_PORT);
    if (given.has(port) || !(await isFreeForTcp(port)) || !(await isFreeForUdp(port))) continue;
    given.add(port);
    return port;
  }
  throw new Error(`Found no free port between ${FIRST_PORT} and ${END_PORT} in ${ATTEMPTS} attempts.`);
}

async function isFreeForTcp(port: number): Promise<boolean> {
  const server = createServer();
  server.listen(port, '127.0.0.1');
  if (!(await succeeds(once(server, 'listening')))) return false;
  server.close();
  await once(server, 'close');
  return true;
}

async function isFreeForUdp(port: number): Promise<boolean> {
  const socket = createSocket('udp4');
  socket.bind(port, '127.0.0.1');
  if (!(await succeeds(once(socket, 'listening')))) return false;
  socket.close();
  await once(socket, 'close');
  return true;
}

/** False when somebody else has the port; whatever else goes wrong is thrown. */
async function succeeds(listening: Promise<unknown>): Promise<boolean> {
  try {
    await listening;
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    return false;
  }
}
