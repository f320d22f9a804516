/**
 * Deletes recordings: by hand when the policy allows it, and by themselves when it demands it. Each deletion writes its
 * tombstone first and then removes the files, so that after a crash in between the next start knows what to finish.
 * What the files are and how they go is the media half's. Rules K in docs/journal.md.
 */
import type { Logger } from 'pino';
import {
  CodedError,
  type Id,
  type RetentionPolicy,
  type RetentionPreview,
  type RouteQuery,
  type Tombstone,
  type UserPrincipal,
} from '@proofcast/shared';
import type { Clock } from '../clock.ts';
import type { Database } from '../database/database.ts';
import { checkMayDelete, RecordingAges, type AgedRecording } from './recording-ages.ts';
import { describeEvidence, sizeOf, type RecordingFile } from './recording-file.ts';
import { checkPolicy, RetentionPolicies } from './retention-policies.ts';
import { Tombstones } from './tombstones.ts';

/** What retention asks of the media half. */
export interface DeletableMedia {
  /** What there is on disk, for looking at many recordings. */
  inventory(): Promise<{ filesOf(recordingId: Id): Promise<readonly RecordingFile[]> }>;
  /**
   * Removes a recording once `writeTombstone` has resolved; when that throws, nothing is removed. Nothing works on the
   * recording from before the call of it. Throws `RECORDING_NOT_FOUND` and `RECORDING_NOT_READY`.
   */
  deleteRecording(
    companyId: Id,
    recordingId: Id,
    writeTombstone: (files: readonly RecordingFile[]) => Promise<void>,
  ): Promise<void>;
  /** Removes what is left of a recording that has a tombstone. */
  finishDeletion(recordingId: Id): Promise<void>;
}

export interface RetentionOptions {
  readonly database: Database;
  readonly media: DeletableMedia;
  readonly clock: Clock;
  readonly log: Logger;
  /** Recordings that one dry run lists; it counts all. */
  readonly maxPreviewedRecordings: number;
}

export class Retention {
  /** For the metrics; since the start of the process. */
  readonly counts = { byRetention: 0, byUser: 0, deletedBytes: 0, failures: 0 };
  readonly #options: RetentionOptions;
  readonly #policies: RetentionPolicies;
  readonly #tombstones: Tombstones;
  readonly #ages: RecordingAges;
  readonly #abort = new AbortController();
  readonly #deleting = new Map<Id, Promise<unknown>>();

  constructor(options: RetentionOptions) {
    this.#options = options;
    this.#policies = new RetentionPolicies(options);
    this.#tombstones = new Tombstones(options.database);
    this.#ages = new RecordingAges(options.database);
  }

  policyOf(companyId: Id): Promise<RetentionPolicy> {
    return this.#policies.get(companyId);
  }

  /** Throws `MESSAGE_INVALID` when the policy contradicts itself. */
  async setPolicy({ companyId, userId }: UserPrincipal, policy: RetentionPolicy): Promise<RetentionPolicy> {
    await this.#policies.set(companyId, policy, userId);
    this.#options.log.info({ companyId, userId, ...policy }, 'a retention policy was set');
    return this.#policies.get(companyId);
  }

  tombstones(companyId: Id, query: RouteQuery<'tombstones'>): Promise<Tombstone[]> {
    return this.#tombstones.list(companyId, query);
  }

  /** What a sweep would delete now, under the policy of the company with `changes`. Throws `MESSAGE_INVALID`. */
  async preview(companyId: Id, changes: Partial<RetentionPolicy> = {}): Promise<RetentionPreview> {
    const { media, clock, maxPreviewedRecordings } = this.#options;
    const policy = { ...(await this.#policies.get(companyId)), ...changes };
    checkPolicy(policy);
    const recordings: RetentionPreview['recordings'] = [];
    let [recordingCount, totalBytes] = [0, 0];
    const inventory = await media.inventory();
    for await (const due of this.#ages.due(companyId, policy, clock.nowMs())) {
      const sizeBytes = sizeOf(await inventory.filesOf(due.recording_id));
      recordingCount += 1;
      totalBytes += sizeBytes;
      if (recordings.length >= maxPreviewedRecordings) continue;
      const { recording_id: recordingId, device_name: deviceName, started_at_ms: startedAtMs } = due;
      recordings.push({ recordingId, deviceName, startedAtMs, sizeBytes });
    }
    return { policy, recordingCount, sizeBytes: totalBytes, recordings };
  }

  /**
   * Deletes one recording because a user wants it. Throws `RECORDING_NOT_FOUND`, also for other companies,
   * `RECORDING_NOT_READY` and `RETENTION_KEEPS`.
   */
  async deleteByHand({ companyId, userId }: UserPrincipal, recordingId: Id): Promise<Tombstone> {
    const nowMs = this.#options.clock.nowMs();
    const recording = await this.#ages.find(companyId, recordingId, nowMs);
    const policy = await this.#policies.get(companyId);
    checkMayDelete(recording, policy, nowMs);
    await this.#delete(recording, policy, userId);
    this.counts.byUser += 1;
    return this.#tombstones.get(companyId, recordingId);
  }

  /** Deletes what the policies demand. What cannot be deleted is logged and keeps nothing else from it. */
  async sweep(): Promise<void> {
    await this.#finishAll();
    for (const companyId of await this.#policies.companiesThatDelete()) {
      if (this.#isClosing) return;
      try {
        await this.#sweepCompany(companyId);
      } catch (error) {
        this.#onFailure({ companyId, err: error }, 'cannot delete the old recordings of a company');
      }
    }
  }

  /** Ends after the deletion that runs; one that has no tombstone yet is given up. Idempotent. */
  async close(): Promise<void> {
    this.#abort.abort(new CodedError('SHUTTING_DOWN', 'The relay is shutting down; delete it later.'));
    await Promise.allSettled(this.#deleting.values());
  }

  async #sweepCompany(companyId: Id): Promise<void> {
    const { clock, log } = this.#options;
    const nowMs = clock.nowMs();
    const policy = await this.#policies.get(companyId);
    let deleted = 0;
    for await (const recording of this.#ages.due(companyId, policy, nowMs)) {
      if (this.#isClosing) return;
      const { recording_id: recordingId } = recording;
      // Deleting many takes its time, and somebody may have decided meanwhile to keep them.
      const current = await this.#policies.get(companyId);
      if (current.deleteAfterDays !== policy.deleteAfterDays) return;
      try {
        checkMayDelete(recording, current, nowMs);
        await this.#delete(recording, current, null);
        this.counts.byRetention += 1;
        deleted += 1;
      } catch (error) {
        if (this.#isClosing) return;
        this.#onFailure({ companyId, recordingId, err: error }, 'cannot delete an old recording');
      }
    }
    if (deleted > 0) log.info({ companyId, deleted, ...policy }, 'deleted old recordings');
  }

  async #delete(recording: AgedRecording, policy: RetentionPolicy, deletedBy: Id | null): Promise<void> {
    const { recording_id: recordingId } = recording;
    if (this.#deleting.has(recordingId)) {
      throw new CodedError('RECORDING_NOT_READY', 'The recording is being deleted already.');
    }
    const deletion = this.#deleteNow(recording, policy, deletedBy).finally(() =>
      this.#deleting.delete(recordingId),
    );
    this.#deleting.set(recordingId, deletion);
    await deletion;
  }

  async #deleteNow(
    { device_name: _name, age_from_ms: _ageFrom, ...recording }: AgedRecording,
    policy: RetentionPolicy,
    deletedBy: Id | null,
  ): Promise<void> {
    const { media, clock, log } = this.#options;
    const { company_id: companyId, recording_id: recordingId } = recording;
    const { signal } = this.#abort;
    let sizeBytes: number | null = null;
    try {
      await media.deleteRecording(companyId, recordingId, async (present) => {
        const files = await describeEvidence(present, signal);
        const deletedAtMs = clock.nowMs();
        const size = sizeOf(present);
        await this.#tombstones.write({ recording, policy, deletedBy, deletedAtMs, sizeBytes: size, files });
        sizeBytes = size;
      });
      await this.#tombstones.markFinished(recordingId, clock.nowMs());
    } catch (error) {
      if (sizeBytes === null) throw error;
      // It is deleted, for everybody to see; the files that are left go with a later sweep.
      this.#onFailure({ companyId, recordingId, err: error }, 'files of a deleted recording are left');
    }
    this.counts.deletedBytes += sizeBytes ?? 0;
    log.info({ companyId, recordingId, deletedBy, sizeBytes, ...policy }, 'deleted a recording');
  }

  async #finishAll(): Promise<void> {
    const { media, clock, log } = this.#options;
    for (const { companyId, recordingId } of await this.#tombstones.unfinished()) {
      if (this.#isClosing) return;
      if (this.#deleting.has(recordingId)) continue;
      try {
        await media.finishDeletion(recordingId);
        await this.#tombstones.markFinished(recordingId, clock.nowMs());
        log.info({ companyId, recordingId }, 'finished a deletion that was cut off');
      } catch (error) {
        this.#onFailure({ companyId, recordingId, err: error }, 'files of a deleted recording are left');
      }
    }
  }

  get #isClosing(): boolean {
    return this.#abort.signal.aborted;
  }

  #onFailure(fields: { companyId: Id; recordingId?: Id; err: unknown }, message: string): void {
    this.counts.failures += 1;
    this.#options.log.error(fields, message);
  }
}
