import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CodedError, createId, type DerivativeKind, type Id } from '@proofcast/shared';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { HeldClock } from '../../testing/held-clock.ts';
import { openDatabase, type Database } from '../database/database.ts';
import type { DerivativeRow } from '../database/schema.ts';
import { DerivativeCatalogue } from './derivative-catalogue.ts';
import { DerivativeQueue, type Attempt, type DerivativeQueueLimits } from './derivative-queue.ts';
import { readSource } from './derivative-source.ts';

const LIMITS: DerivativeQueueLimits = {
  concurrentDerivatives: 2,
  concurrentExports: 1,
  maxDerivativeAttempts: 4,
  derivativeBackoffMs: 1_000,
  maxDerivativeBackoffMs: 3_000,
};

/** A piece of work that ends when the test says so. */
interface Work {
  readonly row: DerivativeRow;
  readonly attempt: Attempt;
  finish(error?: Error): void;
}

describe('the queue of derivatives', () => {
  let folder: string;
  let database: Database;
  let catalogue: DerivativeCatalogue;
  let clock: HeldClock;
  let queue: DerivativeQueue;
  const begun: Work[] = [];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'proofcast-queue-'));
    database = await openDatabase(join(folder, 'test.sqlite'));
    catalogue = new DerivativeCatalogue(database);
    clock = new HeldClock();
    begun.length = 0;
    openQueue();
  });
  afterEach(async () => {
    for (const work of begun) work.finish();
    await queue.close();
    await database.destroy();
    await rm(folder, { recursive: true, force: true });
  });

  function openQueue(limits: Partial<DerivativeQueueLimits> = {}): void {
    const make = async (row: DerivativeRow, attempt: Attempt): Promise<void> => {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      attempt.signal.addEventListener('abort', () => reject(new Error('ended')));
      const finish = (error?: Error): void => (error === undefined ? resolve() : reject(error));
      begun.push({ row, attempt, finish });
      await promise;
      const file = { path: 'x', sizeBytes: 1, tiles: null, sourceChunks: row.source_chunks };
      await catalogue.markDone(row, file, clock.nowMs());
    };
    queue = new DerivativeQueue({
      catalogue,
      make,
      limits: { ...LIMITS, ...limits },
      clock,
      log: pino({ level: 'silent' }),
    });
  }

  /** A merged recording of which these kinds are to be made. */
  async function enqueue(companyId: Id, ...kinds: DerivativeKind[]): Promise<Id> {
    const ids = { device_id: createId('device'), stream_id: createId('stream'), company_id: companyId };
    const { device_id, stream_id, company_id } = ids;
    await database
      .insertInto('companies')
      .values({ company_id, name: 'Acme', created_at_ms: 0 })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
    const device = { name: 'Desk', public_key: '', platform: '', machine: '{}', enrolled_at_ms: 0 };
    await database
      .insertInto('devices')
      .values({ device_id, company_id, ...device })
      .execute();
    await database
      .insertInto('streams')
      .values({ stream_id, device_id, company_id, slot: 0, created_at_ms: 0 })
      .execute();
    const recordingId = createId('recording');
    await database
      .insertInto('recordings')
      .values({
        ...ids,
        recording_id: recordingId,
        state: 'sealed',
        started_at_us: 0,
        started_at_ms: 0,
        source_name: '',
        created_at_ms: 0,
        chunk_count: 5,
        media_path: 'x.webm',
      })
      .execute();
    const source = await readSource(database, folder, recordingId);
    if (source === null) throw new Error('There is no source.');
    await catalogue.ensure(source, { kinds, retryFailed: false, nowMs: clock.nowMs() });
    return recordingId;
  }

  /** Resolves when so many pieces of work have begun since the test did. */
  async function untilBegun(count: number): Promise<readonly Work[]> {
    while (begun.length < count) await new Promise((resolve) => setImmediate(resolve));
    return begun;
  }

  /** Resolves when the queue has done what it can do at the moment. */
  async function settle(): Promise<void> {
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  }

  const stateOf = async (recordingId: Id, kind: DerivativeKind) =>
    (await catalogue.find(recordingId, kind))?.state;
  const failure = (text: string) => new CodedError('DERIVATIVE_FAILED', text);

  test('[D11] makes as many at a time as it may, and keeps a place from exports', async () => {
    const company = createId('company');
    await enqueue(company, 'mp4', 'joined');
    await enqueue(company, 'mp4');
    queue.wake();
    await untilBegun(1);
    await settle();
    expect(begun.map(({ row }) => row.kind)).toEqual(['mp4']);
    await enqueue(company, 'poster', 'sprite');
    queue.wake();
    await untilBegun(2);
    await settle();
    expect(begun.map(({ row }) => row.kind)).toEqual(['mp4', 'poster']);
    begun[1]?.finish();
    expect((await untilBegun(3))[2]?.row.kind).toBe('sprite');
    begun[0]?.finish();
    await untilBegun(4);
    await settle();
    expect(begun.length).toBe(4);
  });

  test('[D11] serves the companies in turn, however much one of them wants', async () => {
    openQueue({ concurrentDerivatives: 1 });
    const [greedy, modest, other] = [createId('company'), createId('company'), createId('company')];
    for (let count = 0; count < 5; count += 1) await enqueue(greedy, 'poster');
    await enqueue(modest, 'poster');
    await enqueue(other, 'poster', 'sprite');
    queue.wake();
    for (let count = 1; count <= 8; count += 1) (await untilBegun(count))[count - 1]?.finish();
    await queue.whenIdle();
    const order = begun.map(({ row }) => row.company_id);
    expect(new Set(order.slice(0, 3))).toEqual(new Set([greedy, modest, other]));
    expect(order.slice(3, 5).toSorted()).toEqual([greedy, other].toSorted());
  });

  test('[D12] tries again what failed, later each time up to a limit, and in the end not any more', async () => {
    const recordingId = await enqueue(createId('company'), 'poster');
    queue.wake();
    for (const [attempt, waitMs] of [1_000, 2_000, 3_000].entries()) {
      (await untilBegun(attempt + 1))[attempt]?.finish(failure(`attempt ${attempt}`));
      await queue.whenIdle();
      expect(await catalogue.find(recordingId, 'poster')).toMatchObject({
        state: 'waiting',
        failure_code: 'DERIVATIVE_FAILED',
        failure_message: `attempt ${attempt}`,
        next_attempt_at_ms: clock.nowMs() + waitMs,
      });
      clock.advance(waitMs - 1);
      await settle();
      expect(begun.length).toBe(attempt + 1);
      clock.advance(1);
    }
    (await untilBegun(4))[3]?.finish(failure('the last one'));
    await queue.whenIdle();
    expect(await catalogue.find(recordingId, 'poster')).toMatchObject({
      state: 'failed',
      failure_message: 'the last one',
    });
    clock.advance(100_000_000);
    await settle();
    expect(begun.length).toBe(4);
  });

  test('[D12] makes at once what somebody asks for again', async () => {
    openQueue({ maxDerivativeAttempts: 1 });
    const recordingId = await enqueue(createId('company'), 'poster');
    queue.wake();
    (await untilBegun(1))[0]?.finish(failure('no'));
    await queue.whenIdle();
    const row = await catalogue.find(recordingId, 'poster');
    if (row === null) throw new Error('There is no row.');
    expect(await catalogue.askAgain(row, { maxExports: 1, nowMs: clock.nowMs() })).toBe(true);
    queue.wake();
    (await untilBegun(2))[1]?.finish();
    await queue.whenIdle();
    expect(await catalogue.find(recordingId, 'poster')).toMatchObject({
      state: 'done',
      failure_code: null,
    });
  });

  test('[D12] tells of what it did not foresee only that it failed', async () => {
    const recordingId = await enqueue(createId('company'), 'poster');
    queue.wake();
    (await untilBegun(1))[0]?.finish(new Error('ENOENT: /secret/place'));
    await queue.whenIdle();
    const row = await catalogue.find(recordingId, 'poster');
    expect(row?.failure_code).toBe('INTERNAL');
    expect(row?.failure_message).not.toContain('secret');
  });

  test('[D10] ends what runs when it is closed, which does not count as an attempt', async () => {
    const recordingId = await enqueue(createId('company'), 'mp4');
    queue.wake();
    const [work] = await untilBegun(1);
    work?.attempt.onProgress(0.5);
    work?.attempt.onProgress(0.4);
    expect(queue.progressOf(recordingId, 'mp4')).toBe(0.5);
    await queue.close();
    expect(work?.attempt.signal.aborted).toBe(true);
    expect(await catalogue.find(recordingId, 'mp4')).toMatchObject({ state: 'waiting', attempts: 0 });
    expect(queue.progressOf(recordingId, 'mp4')).toBeNull();
    queue.wake();
    await settle();
    expect(begun.length).toBe(1);
    await queue.close();
  });

  test('[D10] begins anew with what ran when the process was killed, unless that happened too often', async () => {
    const recordingId = await enqueue(createId('company'), 'mp4');
    for (let kills = 1; kills <= LIMITS.maxDerivativeAttempts; kills += 1) {
      expect(await stateOf(recordingId, 'mp4')).toBe('waiting');
      const row = await catalogue.claim(
        (await catalogue.find(recordingId, 'mp4'))?.company_id ?? '',
        ['mp4'],
        clock.nowMs(),
      );
      expect(row?.attempts).toBe(kills);
      await catalogue.recover(LIMITS.maxDerivativeAttempts);
    }
    expect(await stateOf(recordingId, 'mp4')).toBe('failed');
  });

  test('[D9] ends what runs for a recording that is deleted, and nothing else', async () => {
    const company = createId('company');
    const [gone, kept] = [await enqueue(company, 'poster'), await enqueue(company, 'sprite')];
    queue.wake();
    await untilBegun(2);
    await catalogue.remove(gone);
    await queue.cancel(gone);
    expect(await catalogue.find(gone, 'poster')).toBeNull();
    begun.find(({ row }) => row.recording_id === kept)?.finish();
    await queue.whenIdle();
    expect(await stateOf(kept, 'sprite')).toBe('done');
  });

  test('[D8] waits for a recording that goes on until it is merged again', async () => {
    const recordingId = await enqueue(createId('company'), 'poster');
    await database.updateTable('recordings').set({ media_path: null }).execute();
    queue.wake();
    await queue.whenIdle();
    expect(begun).toEqual([]);
    await database.updateTable('recordings').set({ media_path: 'x.webm' }).execute();
    queue.wake();
    (await untilBegun(1))[0]?.finish();
    await queue.whenIdle();
    expect(await stateOf(recordingId, 'poster')).toBe('done');
  });

  test('[D8] makes a file again that was being made while the recording went on', async () => {
    const recordingId = await enqueue(createId('company'), 'poster');
    queue.wake();
    await untilBegun(1);
    await database.updateTable('recordings').set({ chunk_count: 9 }).execute();
    const source = await readSource(database, folder, recordingId);
    if (source === null) throw new Error('There is no source.');
    await catalogue.ensure(source, { kinds: ['poster'], retryFailed: false, nowMs: clock.nowMs() });
    begun[0]?.finish();
    (await untilBegun(2))[1]?.finish();
    await queue.whenIdle();
    expect(await catalogue.find(recordingId, 'poster')).toMatchObject({ state: 'done', source_chunks: 9 });
  });

  test.each(Array.from({ length: 12 }, (_, microtasks) => microtasks))(
    'begins what was put in %d microtasks after it had found nothing',
    async (microtasks) => {
      const recordingId = await enqueue(createId('company'), 'poster');
      const nextDueMs = catalogue.nextDueMs.bind(catalogue);
      const companiesWaiting = catalogue.companiesWaiting.bind(catalogue);
      let isPutIn = false;
      catalogue.companiesWaiting = (kinds, nowMs) =>
        isPutIn ? companiesWaiting(kinds, nowMs) : Promise.resolve([]);
      catalogue.nextDueMs = async (kinds) => {
        if (isPutIn) return nextDueMs(kinds);
        void (async () => {
          for (let n = 0; n < microtasks; n++) await Promise.resolve();
          isPutIn = true;
          queue.wake();
        })();
        return null;
      };
      queue.wake();
      await settle();
      expect(begun.map(({ row }) => row.recording_id)).toEqual([recordingId]);
    },
  );

  test('goes on when the database fails for a moment', async () => {
    await enqueue(createId('company'), 'poster');
    const real = catalogue.companiesWaiting.bind(catalogue);
    catalogue.companiesWaiting = () => Promise.reject(new Error('the disk is away'));
    queue.wake();
    await queue.whenIdle();
    expect(begun).toEqual([]);
    catalogue.companiesWaiting = real;
    clock.advance(LIMITS.derivativeBackoffMs);
    (await untilBegun(1))[0]?.finish();
  });

  test('[D12] notes a failure later when the database does not take it at once', async () => {
    const recordingId = await enqueue(createId('company'), 'poster');
    const real = catalogue.markFailed.bind(catalogue);
    catalogue.markFailed = () => Promise.reject(new Error('the disk is away'));
    queue.wake();
    (await untilBegun(1))[0]?.finish(failure('no'));
    await queue.whenIdle();
    expect(await stateOf(recordingId, 'poster')).toBe('running');
    catalogue.markFailed = real;
    clock.advance(LIMITS.derivativeBackoffMs);
    await queue.whenIdle();
    expect(await catalogue.find(recordingId, 'poster')).toMatchObject({
      state: 'waiting',
      failure_message: 'no',
    });
  });
});
