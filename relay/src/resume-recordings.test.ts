import { setImmediate } from 'node:timers/promises';
import type { DevicePrincipal, Id } from '@proofcast/shared';
import { loadWebmClip } from '@proofcast/shared/testing/webm-clip';
import { afterEach, describe, expect, test } from 'vitest';
import { FailingFolder } from '../testing/failing-folder.ts';
import { MediaWorld } from '../testing/media-world.ts';
import type { TestPublisher } from '../testing/test-publisher.ts';

const CLIP = loadWebmClip('vp8');

/** Reads of journals that wait until a test lets them pass, recording by recording. */
class Gates {
  readonly begun: Id[] = [];
  readonly #gates = new Map<Id, PromiseWithResolvers<void>>();
  #isOpen = false;

  wait = (name: string): Promise<void> => {
    const [recordingId = ''] = name.split('.');
    if (!this.begun.includes(recordingId)) this.begun.push(recordingId);
    if (this.#isOpen) return Promise.resolve();
    return this.#gate(recordingId).promise;
  };

  open(recordingId: Id): void {
    this.#gate(recordingId).resolve();
  }

  openAll(): void {
    this.#isOpen = true;
    for (const gate of this.#gates.values()) gate.resolve();
  }

  /** The recording that is read first. */
  async first(): Promise<Id> {
    for (;;) {
      const [first] = this.begun;
      if (first !== undefined) return first;
      await setImmediate();
    }
  }

  async untilBegun(recordingId: Id): Promise<void> {
    while (!this.begun.includes(recordingId)) await setImmediate();
  }

  #gate(recordingId: Id): PromiseWithResolvers<void> {
    const gate = this.#gates.get(recordingId) ?? Promise.withResolvers<void>();
    this.#gates.set(recordingId, gate);
    return gate;
  }
}

describe('a relay that starts with journals of an earlier run', () => {
  let world: MediaWorld;
  let gates: Gates;
  let disk: FailingFolder;

  afterEach(async () => {
    gates.openAll();
    await world.close();
  });

  /** So many recordings that nobody has stopped, of one device each; then the relay again, while it reads them. */
  async function restartWith(
    count: number,
    { concurrentRecoveries = 1 } = {},
  ): Promise<{ device: DevicePrincipal; publisher: TestPublisher; recordingId: Id }[]> {
    gates = new Gates();
    world = await MediaWorld.open();
    const companyId = await world.company();
    const made: { device: DevicePrincipal; publisher: TestPublisher; recordingId: Id }[] = [];
    for (let n = 0; n < count; n += 1) {
      const device = await world.device(companyId, `Desk ${n}`);
      const publisher = await world.publisher(device);
      await publisher.hello();
      publisher.maker.epoch();
      for (const slice of CLIP.slices) publisher.maker.media(slice);
      publisher.upload();
      await publisher.untilDurable();
      made.push({ device, publisher, recordingId: publisher.maker.start.recordingId });
    }
    await world.restart({
      servesAtOnce: true,
      limits: { concurrentRecoveries },
      wrapJournals: (folder) => {
        disk = new FailingFolder(folder);
        disk.holdRead = gates.wait;
        return disk;
      },
    });
    return made;
  }

  const stateOf = async (device: DevicePrincipal, recordingId: Id) =>
    (await world.media.listRecordings(device.companyId, {})).find(
      (recording) => recording.recordingId === recordingId,
    )?.state;

  test('[J23] serves at once, says how many are to be read, and begins new recordings meanwhile', async () => {
    const made = await restartWith(3);
    expect(world.media.journalsToRead).toBe(3);
    expect(world.media.isReady()).toEqual([]);
    for (const { device, recordingId } of made) {
      expect(await stateOf(device, recordingId)).toBe('reconnecting');
    }
    const other = await world.publisher(await world.device());
    await other.hello();
    other.maker.epoch();
    other.upload();
    await other.untilDurable();
    gates.openAll();
    await world.media.whenResumed();
    expect(world.media.journalsToRead).toBe(0);
    const [stream] = await world.media.listStreams(made[0]?.device.companyId ?? '');
    expect(stream?.state.kind).toBe('reconnecting');
  });

  test('[J23] reads only so many at a time, and first what a publisher waits for', async () => {
    const made = await restartWith(4);
    const held = await gates.first();
    const wanted = made.findLast(({ recordingId }) => recordingId !== held);
    if (wanted === undefined) throw new Error('There are others.');
    expect(gates.begun).toEqual([held]);
    const again = await world.publisher(wanted.device, wanted.publisher.maker);
    const welcome = again.hello();
    await gates.untilBegun(wanted.recordingId);
    expect(gates.begun).toEqual([held, wanted.recordingId]);
    gates.open(wanted.recordingId);
    expect(await welcome).toMatchObject({ nextSequence: wanted.publisher.maker.chunks.length });
    await again.stop();
    // What was being read before still is.
    expect(await stateOf(wanted.device, held)).toBe('reconnecting');
    expect(world.media.journalsToRead).toBe(3);
    gates.openAll();
    await world.media.whenResumed();
    await world.media.whenSealed();
    expect(await stateOf(wanted.device, wanted.recordingId)).toBe('sealed');
  });

  test('[J23] reads first what somebody wants to play', async () => {
    const made = await restartWith(3);
    const held = await gates.first();
    const wanted = made.findLast(({ recordingId }) => recordingId !== held);
    if (wanted === undefined) throw new Error('There are others.');
    const { companyId } = wanted.device;
    const request = { companyId, recordingId: wanted.recordingId, part: 0, chunkCount: null };
    const answer = world.media.openRecordingMedia(request);
    await gates.untilBegun(wanted.recordingId);
    gates.open(wanted.recordingId);
    expect(await answer).toMatchObject({
      kind: 'pinned',
      chunkCount: wanted.publisher.maker.chunks.length,
    });
    // Nothing is read for whom it does not belong to.
    const foreign = { ...request, companyId: await world.company(), recordingId: held };
    await expect(world.media.openRecordingMedia(foreign)).rejects.toMatchObject({
      code: 'RECORDING_NOT_FOUND',
    });
  });

  test('[J23] goes on after one that cannot be read, which is read again when its publisher comes', async () => {
    const [first, second] = await restartWith(2);
    if (first === undefined || second === undefined) throw new Error('There are two.');
    disk.failures.push({ operation: 'read', code: 'EIO', name: `${first.recordingId}.journal` });
    const hello = async () => {
      const again = await world.publisher(first.device, first.publisher.maker);
      return Promise.race([again.hello(), again.next('refused')]);
    };
    const answer = hello();
    await gates.untilBegun(first.recordingId);
    gates.openAll();
    expect(await answer).toMatchObject({ code: 'STORAGE_FAILED' });
    await world.media.whenResumed();
    expect(await stateOf(first.device, first.recordingId)).toBe('failed');
    expect(await stateOf(second.device, second.recordingId)).toBe('reconnecting');
    disk.failures.length = 0;
    expect(await hello()).toMatchObject({ nextSequence: first.publisher.maker.chunks.length });
    expect(await stateOf(first.device, first.recordingId)).toBe('recording');
  });

  test('[J23] shuts down while it reads, and reads again at the next start', async () => {
    const [made] = await restartWith(1);
    if (made === undefined) throw new Error('There is one.');
    await gates.untilBegun(made.recordingId);
    const waiting = await world.publisher(made.device, made.publisher.maker);
    waiting.hello().catch(() => undefined);
    const closing = world.shutDown();
    expect(await waiting.closed).toMatchObject({ code: 4503 });
    gates.openAll();
    await closing;
    await world.restart();
    const again = await world.publisher(made.device, made.publisher.maker);
    expect(await again.hello()).toMatchObject({ nextSequence: made.publisher.maker.chunks.length });
  });
});
