import {
  CodedError,
  encodeMessage,
  encodeViewerHead,
  parseMessage,
  VIEW_FROM_RELAY,
  VIEW_FROM_VIEWER,
  type MessageToViewer,
  type StreamView,
} from '@proofcast/shared';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HeldClock } from '../../testing/held-clock.ts';
import { ScriptedSocket } from '../../testing/scripted-socket.ts';
import { VIEW_RECONNECT, VIEW_SOCKET_OPEN_MS, WATCH_ANSWER_MS } from '../config.ts';
import { RelayConnection, type RelayConnectionState } from './relay-connection.ts';
import type { Watcher } from './stream-feed.ts';

const STREAM = 'str_00000000000000000001';
const VIEW: StreamView = {
  streamId: STREAM,
  deviceName: 'Desk 1',
  sourceName: 'Screen 1',
  hasSound: false,
  state: { kind: 'live', sinceMs: 1 },
  recordingId: null,
  viewerCount: 0,
};

let clock: HeldClock;
let sockets: ScriptedSocket[];
let states: RelayConnectionState['kind'][];
let streams: StreamView[];
let ticketError: CodedError | null;
/** The next ticket waits for it. */
let ticketGate: Promise<void>;
let connection: RelayConnection;

/** Lets what waits for a promise go on. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const socket = (): ScriptedSocket => {
  const last = sockets.at(-1);
  if (!last) throw new Error('No socket was opened.');
  return last;
};
const send = (message: MessageToViewer): void => socket().receive(encodeMessage(VIEW_FROM_RELAY, message));
const sent = () => socket().sent.map((text) => parseMessage(VIEW_FROM_VIEWER, text));

async function open(): Promise<void> {
  await settle();
  socket().open();
  send({ type: 'streams', data: { streams: [VIEW], sentAtUs: (clock.nowMs() + 5_000) * 1000 } });
}

function watcher(): Watcher & { readonly log: string[] } {
  const log: string[] = [];
  return {
    log,
    onEpoch: ({ epoch }) => log.push(`epoch ${epoch}`),
    onFrame: ({ kind, payload }) => log.push(`${kind} ${payload.length}`),
    onHeld: (atUs) => log.push(`held ${atUs}`),
    onEnded: ({ code }) => log.push(`ended ${code}`),
  };
}

function frame(channel: number, payload: Uint8Array): ArrayBuffer {
  const fields = { kind: 'media', epoch: 0, sequence: 1, captureTimeUs: 1, isDiscontinuity: false } as const;
  const head = encodeViewerHead({ ...fields, channel, payloadBytes: payload.length });
  return Uint8Array.of(...head, ...payload).buffer;
}

beforeEach(() => {
  clock = new HeldClock();
  sockets = [];
  states = [];
  streams = [];
  ticketError = null;
  ticketGate = Promise.resolve();
  connection = new RelayConnection({
    createTicket: async () => {
      await ticketGate;
      if (ticketError) throw ticketError;
      return 'ticket';
    },
    openSocket: () => {
      const opened = new ScriptedSocket();
      sockets.push(opened);
      return opened.asWebSocket;
    },
    schedule: clock.schedule,
    nowMs: clock.nowMs,
    onState: ({ kind }) => states.push(kind),
    onStreams: (list) => {
      streams = [...list];
    },
    onStreamChanged: (stream) => streams.push(stream),
    onStreamRemoved: (streamId) => {
      streams = streams.filter((stream) => stream.streamId !== streamId);
    },
  });
});

afterEach(() => connection.close());

describe('connecting', () => {
  it('is open with the first message, and knows the streams and the clock of the relay then', async () => {
    await settle();
    socket().open();
    expect(connection.state.kind).toBe('connecting');
    expect(connection.relayNowMs()).toBeNull();
    send({ type: 'streams', data: { streams: [VIEW], sentAtUs: (clock.nowMs() + 5_000) * 1000 } });
    expect(connection.state.kind).toBe('open');
    expect(streams).toEqual([VIEW]);
    clock.advance(100);
    expect(connection.relayNowMs()).toBe(clock.nowMs() + 5_000);
  });

  it('gives up a socket that does not open in time, and tries again with growing delays', async () => {
    await settle();
    clock.advance(VIEW_SOCKET_OPEN_MS);
    expect(connection.state).toMatchObject({ kind: 'down', error: { code: 'TIMEOUT' } });
    for (let attempt = 2; attempt <= 6; attempt += 1) {
      clock.advance(VIEW_RECONNECT.maxDelayMs);
      await settle();
      expect(sockets).toHaveLength(attempt);
      socket().end();
    }
  });

  it('goes on trying when no ticket can be had', async () => {
    await settle();
    ticketError = new CodedError('UNAVAILABLE', 'down');
    socket().end();
    clock.advance(VIEW_RECONNECT.maxDelayMs);
    await settle();
    expect(connection.state).toMatchObject({ kind: 'down', error: { message: 'down' } });
    ticketError = null;
    clock.advance(VIEW_RECONNECT.maxDelayMs);
    await open();
    expect(connection.state.kind).toBe('open');
  });

  it('tries at once when it hears that the network is back', async () => {
    await settle();
    socket().end();
    connection.retryNow();
    await settle();
    expect(sockets).toHaveLength(2);
  });

  it('tells with what code the relay closed it', async () => {
    await open();
    socket().end(4503, 'SHUTTING_DOWN: the relay restarts');
    expect(connection.state).toMatchObject({
      kind: 'down',
      error: { code: 'SHUTTING_DOWN', message: 'the relay restarts' },
    });
  });

  it('leaves a relay that sends what is no message of the protocol', async () => {
    await open();
    socket().receive('{"type":"nonsense"}');
    expect(socket().closedWith).toMatchObject({ code: 4400 });
    expect(connection.state.kind).toBe('down');
  });

  it('ignores what a socket says after it was given up', async () => {
    await open();
    const old = socket();
    connection.drop(new CodedError('UNAVAILABLE', 'silent'));
    old.receive(encodeMessage(VIEW_FROM_RELAY, { type: 'streamRemoved', data: { streamId: STREAM } }));
    old.end();
    expect(streams).toEqual([VIEW]);
    expect(states.filter((state) => state === 'down')).toHaveLength(1);
  });
});

describe('watching', () => {
  it('gets the epochs and frames of its own channel, and no others', async () => {
    await open();
    const [one, two] = [watcher(), watcher()];
    connection.watch(STREAM, one);
    connection.watch(STREAM, two);
    const channels = sent().map(({ data }) => data.channel);
    const second = channels[1] ?? 0;
    const epoch = { epoch: 0, mimeType: 'video/webm', startedAtUs: 1, publisherClockOffsetUs: 0 };
    send({ type: 'epoch', data: { channel: second, ...epoch } });
    socket().receive(frame(second, Uint8Array.of(1, 2, 3)));
    expect(new Set(channels).size).toBe(2);
    expect(one.log).toEqual([]);
    expect(two.log).toEqual(['epoch 0', 'media 3']);
  });

  it('is asked for when the connection opens, if that was on its way', async () => {
    const log = watcher();
    connection.watch(STREAM, log);
    await open();
    expect(sent()).toMatchObject([{ type: 'watch', data: { streamId: STREAM } }]);
    expect(log.log).toEqual([]);
  });

  it('ends at once, though never before watch has returned, while the connection is down', async () => {
    await settle();
    socket().end();
    const log = watcher();
    connection.watch(STREAM, log);
    expect(log.log).toEqual([]);
    clock.advance(0);
    expect(log.log).toEqual(['ended UNAVAILABLE']);
  });

  it('ends when the relay refuses or ends it, and the connection lives on', async () => {
    await open();
    const [refused, ended] = [watcher(), watcher()];
    connection.watch(STREAM, refused);
    connection.watch(STREAM, ended);
    const channels = sent().map(({ data }) => data.channel);
    send({ type: 'refused', data: { code: 'STREAM_OFFLINE', message: 'x', channel: channels[0] ?? 0 } });
    send({
      type: 'ended',
      data: { channel: channels[1] ?? 0, reason: { code: 'VIEWER_TOO_SLOW', message: 'x' } },
    });
    expect(refused.log).toEqual(['ended STREAM_OFFLINE']);
    expect(ended.log).toEqual(['ended VIEWER_TOO_SLOW']);
    expect(connection.state.kind).toBe('open');
  });

  it('ends with the connection, and is not taken up again by itself', async () => {
    await open();
    const log = watcher();
    connection.watch(STREAM, log);
    socket().end();
    expect(log.log).toEqual(['ended UNAVAILABLE']);
    clock.advance(VIEW_RECONNECT.maxDelayMs);
    await open();
    expect(sent()).toEqual([]);
  });

  it('may be begun again from within its end', async () => {
    await open();
    const again = watcher();
    connection.watch(STREAM, { ...watcher(), onEnded: () => connection.watch(STREAM, again) });
    socket().end();
    expect(again.log).toEqual([]);
    clock.advance(0);
    expect(again.log).toEqual(['ended UNAVAILABLE']);
  });

  it('tells the relay when it is closed, and hears nothing after that', async () => {
    await open();
    const log = watcher();
    const watch = connection.watch(STREAM, log);
    const channel = sent()[0]?.data.channel ?? 0;
    watch.close();
    watch.close();
    socket().receive(frame(channel, Uint8Array.of(1)));
    socket().end();
    expect(sent().map(({ type }) => type)).toEqual(['watch', 'unwatch']);
    expect(log.log).toEqual([]);
  });

  it('takes a connection for dead that says nothing at all after a watch', async () => {
    await open();
    const log = watcher();
    connection.watch(STREAM, log);
    clock.advance(WATCH_ANSWER_MS);
    expect(log.log).toEqual(['ended TIMEOUT']);
    expect(connection.state.kind).toBe('down');
  });

  it('waits for a picture on a connection that says something else', async () => {
    await open();
    connection.watch(STREAM, watcher());
    clock.advance(1);
    send({ type: 'streamChanged', data: VIEW });
    clock.advance(WATCH_ANSWER_MS);
    expect(connection.state.kind).toBe('open');
  });
});

describe('after close', () => {
  it('has closed its socket, left no timer and told nobody', async () => {
    await open();
    const log = watcher();
    connection.watch(STREAM, log);
    const before = states.length;
    connection.close();
    connection.close();
    expect(socket().closedWith).toMatchObject({ code: 1000 });
    expect(clock.pendingCount).toBe(0);
    expect(log.log).toEqual([]);
    socket().end();
    clock.advance(60_000);
    await settle();
    expect(states).toHaveLength(before);
    expect(sockets).toHaveLength(1);
  });

  it('does not open a socket with a ticket that comes late', async () => {
    await open();
    const gate = Promise.withResolvers<void>();
    ticketGate = gate.promise;
    socket().end();
    clock.advance(VIEW_RECONNECT.maxDelayMs);
    connection.close();
    gate.resolve();
    await settle();
    expect(sockets).toHaveLength(1);
  });
});

describe('the past', () => {
  const range = { fromUs: 5_000_000, untilUs: 9_000_000 };

  it('is asked for, held and extended on the channel of the watch', async () => {
    await open();
    const past = watcher();
    const watch = connection.watch(STREAM, past, range);
    expect(sent().at(-1)).toEqual({ type: 'watch', data: { channel: 1, streamId: STREAM, ...range } });
    send({ type: 'held', data: { channel: 1, atUs: 9_500_000 } });
    expect(past.log).toEqual(['held 9500000']);
    watch.extend(12_000_000);
    expect(sent().at(-1)).toEqual({ type: 'extend', data: { channel: 1, untilUs: 12_000_000 } });
  });

  it('is left for another place at once: nothing that is under way comes any more', async () => {
    await open();
    const past = watcher();
    const watch = connection.watch(STREAM, past, range);
    const to = { fromUs: 1_000_000, untilUs: 2_000_000 };
    watch.seek(to);
    expect(sent().slice(-2)).toEqual([
      { type: 'watch', data: { channel: 2, streamId: STREAM, ...to } },
      { type: 'unwatch', data: { channel: 1 } },
    ]);
    socket().receive(frame(1, Uint8Array.of(1, 2, 3)));
    send({ type: 'held', data: { channel: 1, atUs: 9_500_000 } });
    expect(past.log).toEqual([]);
    socket().receive(frame(2, Uint8Array.of(1, 2)));
    expect(past.log).toEqual(['media 2']);
    watch.close();
    expect(sent().at(-1)).toEqual({ type: 'unwatch', data: { channel: 2 } });
  });

  it('is asked for where it was sought last, once there is a connection', async () => {
    const watch = connection.watch(STREAM, watcher(), range);
    const to = { fromUs: 1_000_000, untilUs: 2_000_000 };
    watch.seek(to);
    await open();
    expect(sent()).toEqual([{ type: 'watch', data: { channel: 2, streamId: STREAM, ...to } }]);
  });

  it('is lost with the connection, and not sought any more after close', async () => {
    await open();
    const past = watcher();
    const watch = connection.watch(STREAM, past, range);
    watch.close();
    const before = sent().length;
    watch.seek(range);
    watch.extend(1);
    expect(sent()).toHaveLength(before);
    const other = watcher();
    connection.watch(STREAM, other, range);
    socket().end();
    expect([past.log, other.log]).toEqual([[], ['ended UNAVAILABLE']]);
  });
});
