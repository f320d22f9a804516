/** One publisher and many viewers, of the relay or of the bare loop. Runs beside the benchmark as a helper. */
import { encodeViewerHead } from '@proofcast/shared';
import { signInAdmin } from './bench-relay.ts';
import { serveHelper } from './helper-process.ts';
import { enrolPublishers, LoadPublisher, sharePayload } from './load-publisher.ts';
import { LoadViewers } from './load-viewers.ts';
import { masked, RawWebSocket } from './raw-websocket.ts';
import { CLUSTER_MS, RecorderStream } from './recorder-stream.ts';

const SLICE_MS = 250;
/** So that every viewer has begun, whatever cluster it began at. */
const WARM_UP_SLICES = (2 * CLUSTER_MS) / SLICE_MS;

/** Sends one slice; returns its number. */
type Send = (slice: Uint8Array) => number;

interface Load {
  readonly stream: RecorderStream;
  readonly viewers: LoadViewers;
  readonly send: Send;
  /** Resolves when all that was sent is as safe as the server makes it. */
  readonly settle: () => Promise<void>;
}

export interface FanOutTarget {
  readonly kind: 'relay' | 'bare';
  readonly url: string;
  readonly viewers: number;
  readonly bitsPerSecond: number;
}

const loads: Load[] = [];

const handlers = {
  /** Connects everybody and returns the number of the load, once every viewer is live. */
  async open(target: FanOutTarget): Promise<number> {
    const load = target.kind === 'relay' ? await openRelay(target) : await openBare(target);
    for (let slice = 0; slice < WARM_UP_SLICES; slice++) await pushSlice(load);
    await load.settle();
    return loads.push(load) - 1;
  },

  /** Sends slices, each when every viewer has the one before, until `payloadBytes` have reached viewers. */
  async push({ load: index, payloadBytes }: { load: number; payloadBytes: number }): Promise<number> {
    const load = loads[index]!;
    let pushed = 0;
    while (pushed < payloadBytes) pushed += (await pushSlice(load)) * load.viewers.count;
    await load.settle();
    return pushed;
  },
};

export type FanOutLoad = typeof handlers;

async function pushSlice({ stream, viewers, send }: Load): Promise<number> {
  const slice = stream.take(SLICE_MS);
  const sequence = send(slice);
  await viewers.untilAllHave(sequence);
  return slice.length;
}

async function openRelay({ url, viewers: count, bitsPerSecond }: FanOutTarget): Promise<Load> {
  const admin = await signInAdmin(url);
  const [seat] = await enrolPublishers(admin, 1);
  const publisher = await LoadPublisher.open(url, seat!);
  const stream = new RecorderStream({ bitsPerSecond });
  const send: Send = (slice) => publisher.send(sharePayload('media', slice), Date.now() * 1000);
  send(stream.take(CLUSTER_MS));
  await publisher.untilDurable();
  const viewers = new LoadViewers();
  await viewers.watch(admin, publisher.streamId, count);
  return { stream, viewers, send, settle: () => publisher.untilDurable() };
}

async function openBare({ url, viewers: count, bitsPerSecond }: FanOutTarget): Promise<Load> {
  const publisher = await RawWebSocket.open(`${url}/publish`);
  const viewers = new LoadViewers();
  await viewers.connect(`${url}/view`, count);
  let next = 0;
  const send: Send = (slice) => {
    const sequence = next++;
    const place = { channel: 1, epoch: 0, sequence, captureTimeUs: Date.now() * 1000 };
    const head = { kind: 'media', isDiscontinuity: false, payloadBytes: slice.length } as const;
    publisher.sendBinary(encodeViewerHead({ ...place, ...head }), masked(slice));
    return sequence;
  };
  return { stream: new RecorderStream({ bitsPerSecond }), viewers, send, settle: () => Promise.resolve() };
}

serveHelper(handlers);
