import { afterEach, beforeEach, expect, it } from 'vitest';
import { HeldClock } from '../../testing/held-clock.ts';
import { ScriptedSocket } from '../../testing/scripted-socket.ts';
import { sfuToken } from '../../testing/sfu-token.ts';
import { SFU_REQUEST_MS } from '../config.ts';
import type { SfuSession } from './sfu-connection.ts';
import { SfuReceiver } from './sfu-receiver.ts';

let clock: HeldClock;
let socket: ScriptedSocket;
let receiver: SfuReceiver;
let session: SfuSession;

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

beforeEach(async () => {
  clock = new HeldClock();
  socket = new ScriptedSocket();
  receiver = new SfuReceiver({
    createToken: () => Promise.resolve({ url: 'ws://sfu.test/signaling', token: sfuToken(clock.nowMs()) }),
    openSocket: () => socket.asWebSocket,
    schedule: clock.schedule,
    onSessionOpened: () => undefined,
    onStreamOnline: () => undefined,
  });
  const opening = receiver.connection.session();
  await settle();
  socket.open();
  await settle();
  const result = { expiresAtMs: 0, routerRtpCapabilities: {}, iceServers: [] };
  socket.receive(JSON.stringify({ id: 1, result }));
  session = await opening;
});

afterEach(() => receiver.close());

const ask = (): Promise<unknown> =>
  receiver.watchOver(session, session.client.request('leave', { streamId: 'str_00000000000000000001' }));

it('a session that answers nothing in time is dropped', async () => {
  const refused = expect(ask()).rejects.toMatchObject({ code: 'TIMEOUT' });
  clock.advance(SFU_REQUEST_MS);
  await refused;
  expect(socket.closedWith).toBeDefined();
});

it('a session that has said something else meanwhile is slow, and stays', async () => {
  const refused = expect(ask()).rejects.toMatchObject({ code: 'TIMEOUT' });
  clock.advance(SFU_REQUEST_MS - 1);
  socket.receive(JSON.stringify({ notification: 'transportClosed', params: { transportId: 't' } }));
  clock.advance(1);
  await refused;
  await settle();
  expect(socket.closedWith).toBeUndefined();
});

it('a session that refuses stays', async () => {
  const refused = expect(ask()).rejects.toMatchObject({ code: 'LIMIT_REACHED' });
  socket.receive(JSON.stringify({ id: 2, error: { code: 'LIMIT_REACHED', message: 'too many' } }));
  await refused;
  await settle();
  expect(socket.closedWith).toBeUndefined();
});
