/**
 * Recordings that were merged while their publisher might have come back, and whose device was revoked then: nothing can
 * follow in them any more, and their manifests say so.
 */
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { Id } from '@proofcast/shared';
import type { MediaClock } from '../media-clock.ts';
import type { RecordingCatalogue } from './catalogue.ts';
import { rewriteManifestHead } from './manifest-file.ts';
import type { OpenRecordings } from './open-recordings.ts';
import { recordingPaths } from './paths.ts';

const END_REASON = 'device-revoked';

export interface RevokedRecordingsOptions {
  readonly catalogue: RecordingCatalogue;
  readonly recordings: Pick<OpenRecordings, 'claim'>;
  readonly recordingsDir: string;
  readonly clock: MediaClock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

export class RevokedRecordings {
  readonly #options: RevokedRecordingsOptions;
  #turn: Promise<void> = Promise.resolve();

  constructor(options: RevokedRecordingsOptions) {
    this.#options = options;
  }

  /** Ends all there are for good, one sweep after the other. One that fails is tried again at the next start. */
  complete(): Promise<void> {
    this.#turn = this.#turn.then(() => this.#completeAll());
    return this.#turn;
  }

  /** Resolves when nothing is being written any more. Call it after `signal`. */
  whenIdle(): Promise<void> {
    return this.#turn;
  }

  async #completeAll(): Promise<void> {
    const { catalogue, signal, log } = this.#options;
    try {
      for (const recordingId of await catalogue.idsOfRevoked()) {
        if (signal.aborted) return;
        await this.#completeOne(recordingId).catch((error: unknown) => {
          if (signal.aborted) return;
          log.error({ recordingId, err: error }, 'cannot end a merged recording of a revoked device');
        });
      }
    } catch (error) {
      log.error({ err: error }, 'cannot look for merged recordings of revoked devices');
    }
  }

  /** First the manifest: the next start finds by the database what is still to be done. */
  async #completeOne(recordingId: Id): Promise<void> {
    const { catalogue, recordings, recordingsDir, clock, log, signal } = this.#options;
    const release = recordings.claim(recordingId);
    try {
      const row = await catalogue.find(recordingId);
      if (row?.state !== 'provisional' || row.manifest_path === null) return;
      const nowMs = clock.nowMs();
      const { folder, temporaryPrefix } = recordingPaths({
        companyId: row.company_id,
        deviceId: row.device_id,
        recordingId,
        startedAtUs: row.started_at_us,
      });
      await rewriteManifestHead({
        path: join(recordingsDir, row.manifest_path),
        temporaryPath: join(recordingsDir, folder, temporaryPrefix),
        fields: { endReason: END_REASON, isComplete: true, sealedAtMs: nowMs },
        signal,
      });
      await catalogue.markComplete(recordingId, { reason: END_REASON, nowMs });
      log.info({ recordingId }, 'a merged recording is complete, because its device was revoked');
    } finally {
      release();
    }
  }
}
