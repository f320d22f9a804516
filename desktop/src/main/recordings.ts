/** The recordings of this device: the running one, which the renderer feeds, and those that still have to leave. */
import { CodedError, createId, type EpochStart, type Id } from '@proofcast/shared';
import type { DesktopState, RecordingPath } from '../ipc.ts';
import { CaptureWatch } from './capture-watch.ts';
import type { ChunkSpool } from './chunk-spool.ts';
import type { SpooledRecording } from './spooled-recording.ts';
import type { UploadQueue } from './upload-queue.ts';

export class Recordings {
  readonly #spool: ChunkSpool;
  readonly #queue: UploadQueue;
  readonly #stallAfterMs: number;
  /** The running recording, or the last one of this run. */
  #current: SpooledRecording | undefined;
  #watch: CaptureWatch | undefined;

  /** Begins to upload what earlier runs have left in the spool. */
  constructor(spool: ChunkSpool, queue: UploadQueue, stallAfterMs: number) {
    this.#spool = spool;
    this.#queue = queue;
    this.#stallAfterMs = stallAfterMs;
    for (const recording of spool.recordings) queue.add(recording);
  }

  /** Throws `SPOOL_FULL` or `SPOOL_FAILED`. */
  async begin(publisher: { streamId: Id; deviceId: Id; serverUrl: string }): Promise<Id> {
    const { streamId, deviceId, serverUrl } = publisher;
    const recordingId = createId('recording');
    const startedAtUs = Date.now() * 1000;
    await this.endCurrent();
    this.#current = await this.#spool.create({ recordingId, streamId, deviceId, serverUrl, startedAtUs });
    this.#queue.add(this.#current);
    return recordingId;
  }

  async beginEpoch(recordingId: Id, start: EpochStart): Promise<void> {
    const recording = this.#running(recordingId);
    await recording.beginEpoch(start);
    this.#watch?.close();
    this.#watch = new CaptureWatch(recording, this.#stallAfterMs);
  }

  async appendMedia(recordingId: Id, bytes: Uint8Array, captureTimeUs: number): Promise<void> {
    const recording = this.#running(recordingId);
    this.#watch?.onMedia();
    await recording.appendMedia(bytes, captureTimeUs);
  }

  /** Resolves with the number of chunks; uploading goes on. */
  async end(recordingId: Id): Promise<number> {
    const recording = this.#running(recordingId);
    this.#watch?.close();
    return recording.finish();
  }

  /** Ends the running recording, if any: the page that fed it is gone. */
  async endCurrent(): Promise<void> {
    this.#watch?.close();
    await this.#current?.finish();
  }

  /** Whether the last recording is complete at the relay, or never will be. */
  get isCurrentSettled(): boolean {
    const { kind } = this.path;
    return kind === 'idle' || kind === 'finished' || kind === 'failed';
  }

  get path(): RecordingPath {
    const recording = this.#current;
    if (!recording) return { kind: 'idle' };
    const { recordingId } = recording.start;
    const { backlogBytes, durableBytes } = recording;
    const progress = { recordingId, backlogBytes, durableBytes };
    const state = this.#queue.stateOf(recordingId);
    if (state.kind === 'reconnecting' || state.kind === 'failed') {
      return { ...state, ...progress, reason: state.reason.toBody() };
    }
    return { ...state, ...progress };
  }

  get viewerCount(): number {
    return this.#current ? this.#queue.viewerCountOf(this.#current.start.recordingId) : 0;
  }

  get leftovers(): DesktopState['leftovers'] {
    const others = this.#spool.recordings.filter((recording) => recording !== this.#current);
    const states = others.map(({ start }) => this.#queue.stateOf(start.recordingId));
    const refused = states.find((state) => state.kind === 'failed');
    return {
      count: others.length,
      bytes: others.reduce((sum, { backlogBytes }) => sum + backlogBytes, 0),
      refusal: refused ? refused.reason.toBody() : null,
    };
  }

  #running(recordingId: Id): SpooledRecording {
    if (this.#current?.start.recordingId === recordingId) return this.#current;
    throw new CodedError(
      'RECORDING_NOT_FOUND',
      `Cannot add to ${recordingId}: it is not the running recording.`,
    );
  }
}
