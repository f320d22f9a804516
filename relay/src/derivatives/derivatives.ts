/**
 * The one face of what is made of recordings for convenience: posters, sprites, exports, joined files. Whatever happens
 * here never touches a recording. Rules D in docs/journal.md.
 */
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import {
  CodedError,
  DERIVATIVE_KINDS,
  parseJson,
  parseWith,
  SpriteTiles,
  type Derivative,
  type DerivativeKind,
  type Id,
} from '@proofcast/shared';
import type { Database } from '../database/database.ts';
import type { DerivativeRow, RecordingRow } from '../database/schema.ts';
import type { MediaClock } from '../media-clock.ts';
import { RecordingCatalogue, recordingNotFound } from '../recording/catalogue.ts';
import { publishFile } from '../recording/durable-file.ts';
import { DerivativeCatalogue, EXPORT_KINDS, STANDARD_KINDS } from './derivative-catalogue.ts';
import { DERIVATIVE_FORMATS, derivativePath } from './derivative-files.ts';
import { DerivativeQueue, type Attempt, type DerivativeQueueLimits } from './derivative-queue.ts';
import { pathsOf, readSource, type DerivativeSource } from './derivative-source.ts';
import { DiskRoom, type DiskRoomOptions, type Room } from './disk-room.ts';
import { Ffmpeg, type FfmpegLimits } from './ffmpeg.ts';
import { Ffprobe } from './ffprobe.ts';
import { whyNotOneFile } from './timeline.ts';
import { openWorkspace, removeLeftovers, removeWorkspace } from './workspace.ts';

export interface DerivativesOptions {
  readonly database: Database;
  /** Absolute. */
  readonly recordingsDir: string;
  readonly ffmpegPath: string;
  readonly limits: DerivativeQueueLimits &
    FfmpegLimits &
    DiskRoomOptions['limits'] & { readonly maxExportsPerCompany: number };
  readonly clock: MediaClock;
  readonly log: Logger;
  /** See `DiskRoomOptions`. */
  readonly freeBytesOf?: (path: string) => Promise<number>;
}

export interface DerivativeFile {
  /** Absolute. */
  readonly path: string;
  readonly contentType: string;
  readonly isDownload: boolean;
  /** Made of ids and the start time. */
  readonly fileName: string;
}

/** A poster or a sprite needs no more room than this. */
const PICTURE_BYTES = 16 * 1024 * 1024;
/** Recordings that are looked at together for what they lack. */
const PAGE = 100;

export class Derivatives {
  readonly #options: DerivativesOptions;
  readonly #catalogue: DerivativeCatalogue;
  readonly #recordings: RecordingCatalogue;
  readonly #queue: DerivativeQueue;
  readonly #ffmpeg: Ffmpeg;
  readonly #ffprobe: Ffprobe;
  readonly #room: DiskRoom;
  readonly #sealings = new Set<Promise<void>>();
  #isClosed = false;

  private constructor(options: DerivativesOptions) {
    this.#options = options;
    const { limits, clock, log } = options;
    this.#catalogue = new DerivativeCatalogue(options.database);
    this.#recordings = new RecordingCatalogue(options.database);
    this.#ffmpeg = new Ffmpeg(options);
    this.#ffprobe = new Ffprobe(options);
    this.#room = new DiskRoom(options);
    this.#queue = new DerivativeQueue({
      catalogue: this.#catalogue,
      make: (row, attempt) => this.#make(row, attempt),
      limits,
      clock,
      log,
    });
  }

  /** Clears up after an earlier run. Nothing is made before `start`. */
  static async open(options: DerivativesOptions): Promise<Derivatives> {
    const derivatives = new Derivatives(options);
    await removeLeftovers(options.recordingsDir);
    await derivatives.#catalogue.recover(options.limits.maxDerivativeAttempts);
    return derivatives;
  }

  /** Begins to work, first of all on what sealed recordings lack. Never throws; what fails is in the log. */
  start(): void {
    this.#track(this.#ensureAll(), { what: 'cannot look for recordings that lack derivatives' });
  }

  /** Call it when a recording has got its file, or another one. Never throws; what fails is made up for at the next start. */
  onSealed(recordingId: Id): void {
    if (this.#isClosed) return;
    this.#track(this.#ensure(recordingId, { retryFailed: true }), {
      recordingId,
      what: 'cannot queue the derivatives',
    });
  }

  async list(recordingId: Id): Promise<Derivative[]> {
    const rows = await this.#catalogue.list(recordingId);
    return rows.map((row) => this.#describe(row));
  }

  /**
   * Makes `kind`, again when it has failed. Throws `RECORDING_NOT_FOUND`, also for recordings of other companies,
   * `RECORDING_NOT_READY`, `MESSAGE_UNEXPECTED` when there is nothing to join or too much, and `LIMIT_REACHED`.
   */
  async request(companyId: Id, recordingId: Id, kind: DerivativeKind): Promise<Derivative> {
    await this.#requireRecording(companyId, recordingId);
    const source = await this.#readSource(recordingId);
    if (source === null) {
      throw new CodedError('RECORDING_NOT_READY', 'The recording has no file yet; ask when it is sealed.');
    }
    if (kind === 'joined' && source.parts.length === 1) {
      throw new CodedError('MESSAGE_UNEXPECTED', 'Cannot join a recording that has one part: it is whole.');
    }
    const because = EXPORT_KINDS.includes(kind) ? whyNotOneFile(source) : null;
    if (because !== null) {
      throw new CodedError('MESSAGE_UNEXPECTED', `Cannot make one file of the recording: ${because}.`);
    }
    await this.#queueOnce(source, kind);
    const row = await this.#catalogue.find(recordingId, kind);
    if (row === null) throw recordingNotFound(recordingId);
    return this.#describe(row);
  }

  /**
   * Throws `RECORDING_NOT_FOUND`, also for recordings of other companies, `NOT_FOUND` when nobody has asked for it,
   * `DERIVATIVE_NOT_READY` and `DERIVATIVE_FAILED`.
   */
  async file(companyId: Id, recordingId: Id, kind: DerivativeKind): Promise<DerivativeFile> {
    const recording = await this.#requireRecording(companyId, recordingId);
    const { path, source_chunks } = await this.#requireDone(recordingId, kind);
    if (EXPORT_KINDS.includes(kind) && source_chunks !== recording.chunk_count) {
      throw new CodedError('DERIVATIVE_NOT_READY', `The recording has gone on since its ${kind} was made.`);
    }
    const { contentType, extension, isDownload } = DERIVATIVE_FORMATS[kind];
    const time = new Date(recording.started_at_ms).toISOString().slice(0, 19).replaceAll(/[-:]/g, '');
    return {
      path: join(this.#options.recordingsDir, path),
      contentType,
      isDownload,
      fileName: `proofcast-${time}Z-${recordingId}.${extension}`,
    };
  }

  /** Throws as `file` does. */
  async spriteTiles(companyId: Id, recordingId: Id): Promise<SpriteTiles> {
    await this.#requireRecording(companyId, recordingId);
    const { details } = await this.#requireDone(recordingId, 'sprite');
    return parseWith(SpriteTiles, parseJson(details ?? '', 'the tiles'), 'the tiles', 'INTERNAL');
  }

  /** The files that there are now. Paths are absolute. */
  async files(recordingId: Id): Promise<{ path: string; sizeBytes: number }[]> {
    const files: { path: string; sizeBytes: number }[] = [];
    for (const path of await this.#possiblePaths(recordingId)) {
      const found = await stat(path).catch(() => null);
      if (found !== null) files.push({ path, sizeBytes: found.size });
    }
    return files;
  }

  /** Ends what runs for the recording and removes everything that was made of it. Its row must still be there. */
  async removeAll(recordingId: Id): Promise<void> {
    await this.#catalogue.remove(recordingId);
    await this.#queue.cancel(recordingId);
    for (const path of await this.#possiblePaths(recordingId)) await rm(path, { force: true });
    await this.#options.database
      .updateTable('recordings')
      .set({ thumbnail_path: null })
      .where('recording_id', '=', recordingId)
      .execute();
  }

  /** Resolves when nothing is being made and nothing could be begun. */
  async whenIdle(): Promise<void> {
    while (this.#sealings.size > 0) await Promise.all(this.#sealings);
    await this.#queue.whenIdle();
  }

  /** Ends what runs; it begins anew at the next start. Idempotent. */
  async close(): Promise<void> {
    this.#isClosed = true;
    while (this.#sealings.size > 0) await Promise.all(this.#sealings);
    await this.#queue.close();
  }

  #track(work: Promise<void>, { what, recordingId }: { what: string; recordingId?: Id }): void {
    const tracked = work
      .catch((error: unknown) => this.#options.log.error({ recordingId, err: error }, what))
      .finally(() => this.#sealings.delete(tracked));
    this.#sealings.add(tracked);
  }

  async #ensureAll(): Promise<void> {
    let afterId: Id = '';
    for (;;) {
      const page = await this.#catalogue.recordingsThatLack(afterId, PAGE);
      for (const recordingId of page) {
        if (this.#isClosed) return;
        await this.#ensure(recordingId, { retryFailed: false });
      }
      afterId = page.at(-1) ?? afterId;
      if (page.length < PAGE) return this.#queue.wake();
    }
  }

  async #ensure(recordingId: Id, { retryFailed }: { retryFailed: boolean }): Promise<void> {
    const source = await this.#readSource(recordingId);
    if (source === null) return;
    const isJoinable = source.parts.length > 1 && whyNotOneFile(source) === null;
    const kinds: DerivativeKind[] = [...STANDARD_KINDS, ...(isJoinable ? ['joined' as const] : [])];
    const nowMs = this.#options.clock.nowMs();
    await this.#catalogue.ensure(source, { kinds, retryFailed, nowMs });
    this.#queue.wake();
  }

  async #queueOnce(source: DerivativeSource, kind: DerivativeKind): Promise<void> {
    const { limits, clock, log } = this.#options;
    const { recordingId, companyId } = source;
    const nowMs = clock.nowMs();
    const present = await this.#catalogue.find(recordingId, kind);
    if (present !== null && present.state !== 'failed') return;
    const maxExports = limits.maxExportsPerCompany;
    const isTaken =
      present === null
        ? await this.#catalogue.add(source, kind, { maxExports, nowMs })
        : await this.#catalogue.askAgain(present, { maxExports, nowMs });
    if (!isTaken) {
      throw new CodedError(
        'LIMIT_REACHED',
        `Cannot take another export: ${maxExports} of the company wait or run.`,
      );
    }
    log.info({ recordingId, companyId, kind }, 'a derivative was asked for');
    this.#queue.wake();
  }

  async #make(row: DerivativeRow, { signal, onProgress }: Attempt): Promise<void> {
    const { recordingsDir, log, clock } = this.#options;
    const { recording_id: recordingId, kind } = row;
    const startedMs = performance.now();
    const source = await this.#readSource(recordingId);
    if (source === null)
      throw new CodedError('RECORDING_NOT_READY', 'The recording has no file at the moment.');
    const folder = await openWorkspace(recordingsDir, kind, source);
    let room: Room | null = null;
    try {
      room = await this.#room.take(folder, neededBytes(kind, source));
      const { maxOutputBytes } = room;
      const bounds = { signal: AbortSignal.any([signal, room.signal]), maxOutputBytes };
      const tools = { ffmpeg: this.#ffmpeg, ffprobe: this.#ffprobe };
      const made = await DERIVATIVE_FORMATS[kind].make({ source, folder, bounds, onProgress, ...tools });
      bounds.signal.throwIfAborted();
      const path = derivativePath(source.paths, kind);
      await publishFile(join(folder, made.name), join(recordingsDir, path));
      const { size: sizeBytes } = await stat(join(recordingsDir, path));
      const file = { path, sizeBytes, tiles: made.tiles ?? null, sourceChunks: source.chunkCount };
      const result = await this.#catalogue.markDone(row, file, clock.nowMs());
      if (result === 'removed') await rm(join(recordingsDir, path), { force: true });
      const tookMs = Math.round(performance.now() - startedMs);
      log.info({ recordingId, kind, sizeBytes, tookMs, result }, 'made a derivative');
    } catch (error) {
      // What was ended for want of room has failed for that.
      room?.signal.throwIfAborted();
      throw error;
    } finally {
      await removeWorkspace(folder);
      room?.release();
    }
  }

  #describe(row: DerivativeRow): Derivative {
    const { kind, state, failure_code: code, failure_message: message, size_bytes: sizeBytes } = row;
    const running = this.#queue.progressOf(row.recording_id, kind);
    return {
      kind,
      state,
      progress: state === 'done' ? 1 : state === 'running' ? (running ?? 0) : 0,
      failure: code === null ? null : { code, message: message ?? '' },
      sizeBytes: state === 'done' ? sizeBytes : null,
    };
  }

  #requireRecording(companyId: Id, recordingId: Id): Promise<RecordingRow> {
    return this.#recordings.getRow(companyId, recordingId);
  }

  async #requireDone(recordingId: Id, kind: DerivativeKind): Promise<DerivativeRow & { path: string }> {
    const row = await this.#catalogue.find(recordingId, kind);
    if (row === null) throw new CodedError('NOT_FOUND', `The recording has no ${kind}.`);
    const { path, state } = row;
    if (state === 'done' && path !== null) return { ...row, path };
    if (state === 'failed') {
      throw new CodedError('DERIVATIVE_FAILED', row.failure_message ?? `The ${kind} could not be made.`);
    }
    throw new CodedError('DERIVATIVE_NOT_READY', `The ${kind} of the recording is ${state}.`, {
      details: { state },
    });
  }

  async #possiblePaths(recordingId: Id): Promise<string[]> {
    const row = await this.#findRecording(recordingId);
    if (row === undefined) return [];
    const paths = pathsOf(row);
    return DERIVATIVE_KINDS.map((kind) => join(this.#options.recordingsDir, derivativePath(paths, kind)));
  }

  #findRecording(recordingId: Id): Promise<RecordingRow | undefined> {
    return this.#options.database
      .selectFrom('recordings')
      .selectAll()
      .where('recording_id', '=', recordingId)
      .executeTakeFirst();
  }

  #readSource(recordingId: Id): Promise<DerivativeSource | null> {
    return readSource(this.#options.database, this.#options.recordingsDir, recordingId);
  }
}

function neededBytes(kind: DerivativeKind, { sizeBytes }: DerivativeSource): number {
  return EXPORT_KINDS.includes(kind) ? sizeBytes : PICTURE_BYTES;
}
