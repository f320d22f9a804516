/**
 * The relay as a process of its own, on a disk that is really full: a small file system in memory, used up to its last
 * byte by a recording that is being made. What was acknowledged is never at risk, who watches is served, who must not
 * begin is told why, and when there is room again the same recording goes on.
 */
import { execFile } from 'node:child_process';
import { rm, statfs, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Id } from '@proofcast/shared';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { maySmallDiskBeMounted, mountSmallDisk, type SmallDisk } from '../../desktop/testing/small-disk.ts';
import { ChunkMaker } from '../../relay/testing/chunk-maker.ts';
import { publishRecording } from '../../relay/testing/publish-recording.ts';
import type { TestClient } from '../../relay/testing/test-client.ts';
import { TestDevice } from '../../relay/testing/test-device.ts';
import { TestPublisher } from '../../relay/testing/test-publisher.ts';
import { TestViewer } from '../../relay/testing/test-viewer.ts';
import { RecorderStream } from '../bench/recorder-stream.ts';
import { startLoneRelay, type LoneRelay } from '../harness/lone-relay.ts';
import { readOriginalChunks } from '../harness/rebuilt-recording.ts';
import { waitForSealed } from '../harness/sealed-recording.ts';

const MIB = 1024 * 1024;
/** Without the ballast there is room for the journal that fills the disk, and for the file that is made of it. */
const DISK_BYTES = 24 * MIB;
const BALLAST_BYTES = 15 * MIB;
const WARN_FREE_BYTES = 5 * MIB;
const MIN_FREE_BYTES = 3 * MIB;
const SLICE_MS = 1_000;
const BITS_PER_SECOND = 6_400_000;
/** Of the recording that fills the disk, so much at least can be played while the disk is full. */
const PLAYABLE_BYTES = 6 * MIB;
const PROOFCAST = resolve(import.meta.dirname, '../../relay/src/proofcast.ts');

const mayMount = await maySmallDiskBeMounted();

let disk: SmallDisk | undefined;
let relay: LoneRelay | undefined;
let admin: TestClient;

beforeEach(async () => {
  if (!mayMount) return;
  disk = await mountSmallDisk(DISK_BYTES);
  relay = await startLoneRelay({
    dataDir: disk.path,
    env: { WARN_FREE_BYTES: String(WARN_FREE_BYTES), MIN_FREE_BYTES: String(MIN_FREE_BYTES) },
  });
  admin = await relay.signInAdmin();
});
afterEach(async () => {
  try {
    await relay?.close();
  } finally {
    await disk?.close();
  }
});

const diskPath = () => disk?.path ?? '';

async function freeBytes(): Promise<number> {
  const { bavail, bsize } = await statfs(diskPath());
  return bavail * bsize;
}

const ballast = () => join(diskPath(), 'ballast');

/** Devices get their tokens while there is room; apps keep theirs for a quarter of an hour. */
class Desk {
  readonly device: TestDevice;
  readonly streamId: Id;
  readonly #headers: Readonly<Record<string, string>>;

  private constructor(device: TestDevice, streamId: Id, token: string) {
    this.device = device;
    this.streamId = streamId;
    this.#headers = { authorization: `Bearer ${token}` };
  }

  static async enrol(name: string): Promise<Desk> {
    const device = await TestDevice.enrol(admin, name);
    const { streamId, ingest } = await device.publishTokens(admin);
    return new Desk(device, streamId, ingest.token);
  }

  newRecording(): ChunkMaker {
    return new ChunkMaker({ streamId: this.streamId, deviceId: this.device.deviceId });
  }

  async connect(maker: ChunkMaker): Promise<TestPublisher> {
    return new TestPublisher(await admin.open('ingest', { headers: this.#headers }), maker);
  }
}

/** A recorder that delivers as fast as the relay confirms. */
class SteadyPublisher {
  readonly maker: ChunkMaker;
  /** The most that the relay has ever called durable. */
  durableCount = 0;
  readonly #stream = new RecorderStream({ bitsPerSecond: BITS_PER_SECOND });

  constructor(maker: ChunkMaker) {
    this.maker = maker;
    maker.epoch();
  }

  capture(): void {
    this.maker.media(this.#stream.take(SLICE_MS));
  }

  /** Sends all from `from` on, and resolves when that is durable; false when the relay ended the connection before. */
  async send(publisher: TestPublisher, from: number = this.durableCount): Promise<boolean> {
    publisher.upload(from);
    while (this.durableCount < this.maker.chunks.length) {
      const ack = await publisher.next('ack').catch(() => null);
      if (ack === null) return false;
      this.durableCount = Math.max(this.durableCount, ack.durable);
    }
    return true;
  }

  /** Captures and sends until no more than `bytes` of the disk are free. */
  async fillUpTo(bytes: number, publisher: TestPublisher): Promise<void> {
    while ((await freeBytes()) > bytes) {
      this.capture();
      if (!(await this.send(publisher))) throw new Error('The disk was full before.');
    }
  }

  /** Captures and sends until the relay ends the connection; resolves with the code and the reason. */
  async fillUp(publisher: TestPublisher): Promise<{ code: number; reason: string }> {
    for (;;) {
      this.capture();
      if (!(await this.send(publisher))) return publisher.closed;
    }
  }
}

/** The metrics whose names begin so, by name and label. */
async function metrics(prefix: string): Promise<Record<string, number>> {
  const text = await (await admin.fetch('metrics')).text();
  const lines = text.split('\n').filter((line) => line.startsWith(prefix));
  return Object.fromEntries(
    lines.map((line) => {
      const [name, value] = line.split(' ');
      return [name, Number(value)];
    }),
  );
}

async function readiness(): Promise<{ status: number; reasons: string }> {
  const response = await admin.fetch('readyz');
  const { reasons } = (await response.json()) as { reasons: string[] };
  return { status: response.status, reasons: reasons.join(' ') };
}

async function bytesOf(recordingId: Id, headers: Record<string, string> = {}): Promise<Buffer> {
  const response = await admin.fetch('recordingMedia', { params: { recordingId }, headers });
  expect(response.status).toBe('range' in headers ? 206 : 200);
  return Buffer.from(await response.arrayBuffer());
}

/** What `proofcast journal check` says beside the running relay. */
async function checkJournal(recordingId: Id): Promise<{ exitCode: number; chunks: number; verdict: string }> {
  const args = [PROOFCAST, 'journal', 'check', diskPath(), '--json'];
  const { exitCode, output } = await new Promise<{ exitCode: number; output: string }>((resolveRun) => {
    const child = execFile(process.execPath, args, (_error, stdout) =>
      resolveRun({ exitCode: child.exitCode ?? -1, output: stdout }),
    );
  });
  const reports = output
    .split('\n')
    .filter((line) => line !== '')
    .map(
      (line) =>
        JSON.parse(line) as { recordingId: Id; content: { chunks: number }; verdict: { kind: string } },
    );
  const report = reports.find((one) => one.recordingId === recordingId);
  return { exitCode, chunks: report?.content.chunks ?? 0, verdict: report?.verdict.kind ?? 'missing' };
}

const summaryOf = ({ sequence, epoch, sha256 }: ChunkMaker['chunks'][number]) => ({
  sequence,
  epoch,
  payloadSha256: Buffer.from(sha256).toString('hex'),
});

/** Asserts that the sealed recording has all that was captured, once and in order. */
async function judge({ start, chunks }: ChunkMaker): Promise<void> {
  const { recordingId } = start;
  expect(await waitForSealed(admin, recordingId)).toMatchObject({ isComplete: true, gapCount: 0 });
  const originals = await readOriginalChunks(admin, recordingId);
  expect(originals.map(({ sequence, epoch, payloadSha256 }) => ({ sequence, epoch, payloadSha256 }))).toEqual(
    chunks.map(summaryOf),
  );
}

describe('a relay whose disk is full', () => {
  it.skipIf(!mayMount)(
    `[J6] [J7] [O5] keeps what it acknowledged, serves who watches, says what is wrong, and goes on when there is room${mayMount ? '' : ' (this user may not mount a disk)'}`,
    async () => {
      const [desk, other] = [await Desk.enrol('Desk 1'), await Desk.enrol('Desk 2')];
      const finishedId = await publishRecording({ device: other.device, client: admin });
      await waitForSealed(admin, finishedId);
      const finished = await bytesOf(finishedId);
      await writeFile(ballast(), Buffer.alloc(BALLAST_BYTES));
      expect((await readiness()).status).toBe(200);

      const steady = new SteadyPublisher(desk.newRecording());
      const { recordingId } = steady.maker.start;
      const publisher = await desk.connect(steady.maker);
      await publisher.hello();
      const { ticket } = await admin.call('createViewTicket');
      const viewer = new TestViewer(await admin.open('view', { query: { ticket } }));
      viewer.watch(1, desk.streamId);

      // Low: an alarm, and nothing else.
      await steady.fillUpTo(WARN_FREE_BYTES - 1, publisher);
      const welcome = await other.connect(other.newRecording());
      await welcome.hello();
      await welcome.stop();
      expect(await readiness()).toMatchObject({
        status: 503,
        reasons: expect.stringContaining('should have more than'),
      });
      expect(await metrics('proofcast_disk_state')).toMatchObject({ 'proofcast_disk_state{state="low"}': 1 });

      // Full: nothing is begun, and what runs goes on.
      await steady.fillUpTo(MIN_FREE_BYTES - 1, publisher);
      const turnedAway = await other.connect(other.newRecording());
      turnedAway.hello().catch(() => undefined);
      expect(await turnedAway.next('refused')).toMatchObject({ code: 'STORAGE_FULL' });
      expect((await turnedAway.closed).code).toBe(4507);
      expect(await readiness()).toMatchObject({
        status: 503,
        reasons: expect.stringContaining('new recordings are refused'),
      });
      expect(await metrics('proofcast_')).toMatchObject({
        'proofcast_disk_state{state="full"}': 1,
        'proofcast_disk_state{state="ok"}': 0,
        'proofcast_refusals_total{code="STORAGE_FULL"}': 1,
        proofcast_ready: 0,
      });
      steady.capture();
      expect(await steady.send(publisher)).toBe(true);

      // Not a byte more.
      expect(await steady.fillUp(publisher)).toEqual({
        code: 4500,
        reason: expect.stringMatching(/^STORAGE_FAILED: /) as string,
      });
      const lost = steady.maker.chunks.length - steady.durableCount;
      expect(lost).toBeGreaterThan(0);
      expect((await viewer.next('ended')).reason.code).toBe('STORAGE_FAILED');
      expect((await readiness()).reasons).toContain('Recordings whose journal the disk refuses: 1.');
      const checked = await checkJournal(recordingId);
      expect(checked.chunks).toBeGreaterThanOrEqual(steady.durableCount);
      expect(['whole', 'torn']).toContain(checked.verdict);
      expect(checked.exitCode).toBeLessThanOrEqual(1);

      // Others watch what is there, and so does who wants to see the recording that has stopped.
      expect((await bytesOf(finishedId)).equals(finished)).toBe(true);
      expect(await bytesOf(finishedId, { range: 'bytes=1000-1999' })).toEqual(finished.subarray(1000, 2000));
      expect((await bytesOf(recordingId)).length).toBeGreaterThan(PLAYABLE_BYTES);

      // Whoever comes back before there is room is told the same, and has lost nothing.
      const early = await desk.connect(steady.maker);
      const { nextSequence } = await early.hello();
      expect(nextSequence).toBeGreaterThanOrEqual(steady.durableCount);
      expect(await steady.send(early, nextSequence)).toBe(false);
      expect(await early.closed).toMatchObject({ code: 4500 });

      await rm(ballast());
      const again = await desk.connect(steady.maker);
      const resumed = await again.hello();
      expect(resumed.nextSequence).toBeGreaterThanOrEqual(steady.durableCount);
      steady.capture();
      expect(await steady.send(again, resumed.nextSequence)).toBe(true);
      viewer.watch(2, desk.streamId);
      expect((await viewer.framesUntil(steady.maker.chunks.length - 1)).length).toBeGreaterThan(0);
      await again.stop();
      await judge(steady.maker);
      expect(await readiness()).toEqual({ status: 200, reasons: '' });
      expect(await metrics('proofcast_disk_state')).toMatchObject({ 'proofcast_disk_state{state="ok"}': 1 });
    },
  );

  it.skipIf(!mayMount)(
    `[J13] may be killed and started on it, and goes on when there is room${mayMount ? '' : ' (this user may not mount a disk)'}`,
    async () => {
      const desk = await Desk.enrol('Desk 1');
      await writeFile(ballast(), Buffer.alloc(BALLAST_BYTES));
      const steady = new SteadyPublisher(desk.newRecording());
      const { recordingId } = steady.maker.start;
      const publisher = await desk.connect(steady.maker);
      await publisher.hello();
      await steady.fillUp(publisher);

      await relay?.kill();
      await relay?.start();
      const { cookie } = admin;
      admin = relay!.client();
      admin.cookie = cookie;
      expect((await readiness()).reasons).toContain('new recordings are refused');
      expect((await bytesOf(recordingId)).length).toBeGreaterThan(PLAYABLE_BYTES);

      await rm(ballast());
      const again = await desk.connect(steady.maker);
      const { nextSequence } = await again.hello();
      expect(nextSequence).toBeGreaterThanOrEqual(steady.durableCount);
      expect(await steady.send(again, nextSequence)).toBe(true);
      await again.stop();
      await judge(steady.maker);
    },
  );
});
