/**
 * kill −9 of a relay process at any moment of a recording, from the first word to the last step of sealing: whatever was
 * acknowledged as durable is in the sealed recording, once and in order; what was not is asked for again.
 */
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { encodeHex, INGEST_FROM_RELAY, parseMessage, type Id } from '@proofcast/shared';
import { loadWebmClip } from '@proofcast/shared/testing/webm-clip';
import { freshSeed, seededRandom, type Random } from '@proofcast/shared/testing/random';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkJournals } from '../../relay/src/journal/journal-check.ts';
import { ChunkMaker } from '../../relay/testing/chunk-maker.ts';
import type { TestClient } from '../../relay/testing/test-client.ts';
import { TestDevice } from '../../relay/testing/test-device.ts';
import { TestPublisher } from '../../relay/testing/test-publisher.ts';
import { startLoneRelay, type LoneRelay } from '../harness/lone-relay.ts';
import { readOriginalChunks } from '../harness/rebuilt-recording.ts';
import { waitForSealed } from '../harness/sealed-recording.ts';
import { run } from '../harness/stamp-readers.ts';

/** How many kills each phase gets; ten in all. */
const WANTED = { start: 2, steady: 4, stop: 2, seal: 2 } as const;
type Phase = keyof typeof WANTED;
/** A seal may be over before its kill comes; then another recording is made for it, but not for ever. */
const MAX_RECORDINGS = 6;
/** Within this time of the beginning of a phase its kill comes, at the latest when the phase is over. */
const WITHIN_MS = { start: 40, steady: 60, stop: 60, seal: 200 } as const;
/** So many chunks at most are sent in the phase `start`. */
const FIRST_CHUNKS = 8;
const TIMEOUT_MS = 180_000;

const clip = loadWebmClip('vp8');

let relay: LoneRelay;
beforeEach(async () => {
  relay = await startLoneRelay();
});
afterEach(() => relay.close());

/** Size and content hash of every video packet of a webm file, in order. */
async function packetsOf(path: string): Promise<string[][]> {
  const args = ['-v', 'error', '-i', path, '-map', '0:v', '-c', 'copy', '-f', 'framemd5', '-'];
  const listing = (await run('ffmpeg', args)).toString();
  const lines = listing.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return lines.map((line) => line.split(/, */).slice(4));
}

/** Two epochs of a real clip, ten seconds apart, cut anywhere. */
function makeChunks(device: TestDevice, { streamId, random }: { streamId: Id; random: Random }): ChunkMaker {
  const maker = new ChunkMaker({ streamId, deviceId: device.deviceId }, Date.now() * 1000);
  for (const epoch of [0, 1]) {
    maker.epoch({ startedAtUs: maker.start.startedAtUs + epoch * 10_000_000 });
    for (let start = 0; start < clip.bytes.length;) {
      const end = start + random.integer(200, 5000);
      maker.media(clip.bytes.subarray(start, end));
      start = end;
    }
    if (epoch === 0) maker.event({ type: 'epoch-ended', data: { reason: 'source-changed' } });
  }
  return maker;
}

/** One recording, whose relay is killed in its phases. Each kill is followed by another start. */
class KilledRecording {
  readonly maker: ChunkMaker;
  /** In which phases a kill has come, by what was on the disk when the process was gone. */
  readonly hits: Phase[] = [];
  readonly #device: TestDevice;
  readonly #random: Random;
  /** The largest count that was ever acknowledged as durable. */
  #durable = 0;

  constructor(device: TestDevice, { streamId, random }: { streamId: Id; random: Random }) {
    this.#device = device;
    this.#random = random;
    this.maker = makeChunks(device, { streamId, random });
  }

  /** Somewhere between the first word and the first chunk that is durable. */
  async killAtStart(): Promise<void> {
    const publisher = await this.#connect();
    const begin = async (): Promise<void> => {
      await publisher.hello();
      this.#send(publisher, 0, this.#random.integer(0, FIRST_CHUNKS + 1));
      await publisher.untilDurable(1);
    };
    const found = await this.#kill(publisher, { phase: 'start', end: begin() });
    if (found.chunks <= FIRST_CHUNKS && !found.isStopped) this.hits.push('start');
  }

  /** While chunks behind the acknowledged ones are on their way, in memory or half written; `share` is the last of them. */
  async killInCourse(share: number): Promise<void> {
    const publisher = await this.#connect();
    const { nextSequence } = await publisher.hello();
    expect(nextSequence).toBeGreaterThanOrEqual(this.#durable);
    const last = Math.floor(this.maker.chunks.length * share);
    const until = this.#random.integer(nextSequence + 1, last);
    this.#send(publisher, nextSequence, until);
    await publisher.untilDurable(until);
    const behind = this.#random.integer(until + 1, last + 1);
    this.#send(publisher, until, behind);
    const found = await this.#kill(publisher, { phase: 'steady', end: publisher.untilDurable(behind) });
    if (found.chunks >= until && found.chunks <= last && !found.isStopped) this.hits.push('steady');
  }

  /** Somewhere between that word and its answer. */
  async killAtStop(): Promise<void> {
    const { length: chunkCount } = this.maker.chunks;
    const publisher = await this.#connect();
    const { nextSequence } = await publisher.hello();
    expect(nextSequence).toBeGreaterThanOrEqual(this.#durable);
    publisher.upload(nextSequence);
    await publisher.untilReceived(chunkCount);
    publisher.say({ type: 'stop', data: { chunkCount } });
    const found = await this.#kill(publisher, { phase: 'stop', end: publisher.next('stopped') });
    if (found.isThere) this.hits.push('stop');
  }

  /** Somewhere between the end and the last step of sealing. */
  async killWhileSealing(): Promise<void> {
    const { length: chunkCount } = this.maker.chunks;
    const publisher = await this.#connect();
    const answer = await Promise.race([publisher.hello(), publisher.next('refused')]);
    if ('nextSequence' in answer) {
      expect(answer.nextSequence).toBeGreaterThanOrEqual(this.#durable);
      publisher.upload(answer.nextSequence);
      await publisher.stop();
    } else {
      expect(answer).toMatchObject({ code: 'RECORDING_SEALED', details: { chunkCount } });
    }
    const found = await this.#kill(publisher, { phase: 'seal', end: new Promise<never>(() => undefined) });
    if (found.isStopped) this.hits.push('seal');
  }

  async #connect(): Promise<TestPublisher> {
    const client = relay.client();
    const { ingest } = await this.#device.publishTokens(client);
    const socket = await client.open('ingest', { headers: { authorization: `Bearer ${ingest.token}` } });
    socket.on('message', (data: Buffer) => {
      const message = parseMessage(INGEST_FROM_RELAY, data.toString());
      if (message.type === 'ack') this.#durable = Math.max(this.#durable, message.data.durable);
    });
    return new TestPublisher(socket, this.maker);
  }

  #send(publisher: TestPublisher, from: number, to: number): void {
    for (let sequence = from; sequence < to; sequence += 1) publisher.sendFrame(this.maker.frame(sequence));
  }

  /**
   * Kills the relay at a random moment, but not after the phase has come to its `end`; and starts it again. Returns what
   * the dead one has left, which has all that it ever called durable, or is sealed.
   */
  async #kill(
    publisher: TestPublisher,
    { phase, end }: { phase: Phase; end: Promise<unknown> },
  ): Promise<{ isThere: boolean; chunks: number; isStopped: boolean }> {
    await Promise.race([wait(this.#random.integer(0, WITHIN_MS[phase])), end.catch(() => undefined)]);
    await relay.kill();
    publisher.socket.terminate();
    await publisher.closed;
    const { recordingId } = this.maker.start;
    let found = { isThere: false, chunks: 0, isStopped: false };
    for await (const report of checkJournals(join(relay.dataDir, 'journals'), recordingId)) {
      const { chunks, endReason } = report.content;
      expect(['whole', 'torn']).toContain(report.verdict.kind);
      found = { isThere: true, chunks, isStopped: endReason === 'stopped' };
    }
    // The journal goes when all else is done.
    if (found.isThere || phase !== 'seal') expect(found.chunks).toBeGreaterThanOrEqual(this.#durable);
    await relay.start();
    return found;
  }
}

/** Asserts that the sealed recording is what was published. */
async function judge({ maker }: KilledRecording, auditor: TestClient): Promise<void> {
  const { recordingId } = maker.start;
  expect(await waitForSealed(auditor, recordingId)).toMatchObject({ isComplete: true, gapCount: 1 });
  const originals = await readOriginalChunks(auditor, recordingId);
  expect(
    originals.map(({ sequence, epoch, captureTimeUs, payloadSha256 }) => ({
      sequence,
      epoch,
      captureTimeUs,
      payloadSha256,
    })),
  ).toEqual(
    maker.chunks.map(({ sequence, epoch, captureTimeUs, sha256 }) => ({
      sequence,
      epoch,
      captureTimeUs,
      payloadSha256: encodeHex(sha256),
    })),
  );
  const media = await auditor.fetch('recordingMedia', { params: { recordingId } });
  const sealed = join(relay.dataDir, `${recordingId}.webm`);
  await writeFile(sealed, Buffer.from(await media.arrayBuffer()));
  const once = await packetsOf(clip.path);
  expect(once.length).toBeGreaterThan(10);
  expect(await packetsOf(sealed)).toEqual([...once, ...once]);
}

describe.each([freshSeed()])('a relay that is killed, seed %d', (seed) => {
  it(
    '[J13] [J21] [I10] at ten moments has every chunk that it called durable once and in order: at the start, in the course, at the stop and while it seals',
    { timeout: TIMEOUT_MS },
    async () => {
      const random = seededRandom(seed);
      const device = await TestDevice.enrol(await relay.signInAdmin());
      const { streamId } = await device.publishTokens(relay.client());
      const recordings: KilledRecording[] = [];
      const lacks = (phase: Phase): boolean =>
        recordings.flatMap(({ hits }) => hits).filter((hit) => hit === phase).length < WANTED[phase];
      const phases = Object.keys(WANTED) as Phase[];
      while (phases.some(lacks) && recordings.length < MAX_RECORDINGS) {
        const recording = new KilledRecording(device, { streamId, random });
        recordings.push(recording);
        if (lacks('start')) await recording.killAtStart();
        for (const share of [1 / 3, 2 / 3]) if (lacks('steady')) await recording.killInCourse(share);
        if (lacks('stop')) await recording.killAtStop();
        await recording.killWhileSealing();
      }
      expect(phases.filter(lacks)).toEqual([]);

      const auditor = await relay.signInAdmin();
      for (const recording of recordings) await judge(recording, auditor);
      await expect.poll(() => readdir(join(relay.dataDir, 'journals'))).toEqual([]);
      const names = await readdir(join(relay.dataDir, 'recordings'), { recursive: true });
      expect(names.filter((name) => name.includes('.part'))).toEqual([]);
    },
  );
});
