/**
 * The recordings that have ended and still live in their journals. Only so many of them keep their files and their index
 * open; of the others only the ids and the ending are kept, and they are opened again for whoever wants them.
 */
import type { Logger } from 'pino';
import type { Id } from '@proofcast/shared';
import type { RecordingIdentity } from '../journal/journal-start.ts';
import type { Ending, OpenRecording } from './open-recording.ts';

/** What is known of one also while its files are closed. */
export interface EndedRecording {
  readonly identity: RecordingIdentity;
  readonly ending: Ending;
  /** All of its chunks; they are durable. */
  readonly chunkCount: number;
}

/** A recording whose files stay open until `release` is called, which is idempotent. */
export interface HeldRecording {
  readonly recording: OpenRecording;
  readonly release: () => void;
}

export interface EndedRecordingsOptions {
  /** So many stay open, and beyond that only those that somebody holds. */
  readonly maxOpen: number;
  /** Journals that are read again at the same time; who wants a further one waits. */
  readonly maxOpening: number;
  /** Reads the journal again. Throws `STORAGE_FAILED`, and `SHUTTING_DOWN`. */
  readonly reopen: (ended: EndedRecording) => Promise<OpenRecording>;
  readonly log: Logger;
}

export class EndedRecordings {
  readonly #options: EndedRecordingsOptions;
  readonly #known = new Map<Id, EndedRecording>();
  /** The one that was used longest ago comes first. */
  readonly #open = new Map<Id, OpenRecording>();
  readonly #opening = new Map<Id, Promise<void>>();
  #readingCount = 0;
  readonly #waiting: (() => void)[] = [];
  readonly #closing = new Set<Promise<void>>();
  #isClosed = false;

  constructor(options: EndedRecordingsOptions) {
    this.#options = options;
  }

  /** Takes over an open recording. Throws when it has not ended. */
  add(recording: OpenRecording): EndedRecording {
    const { identity, ending, snapshotCount: chunkCount } = recording;
    const { recordingId } = identity;
    if (ending === null) throw new Error(`The recording ${recordingId} has not ended.`);
    const ended = { identity, ending, chunkCount };
    this.#known.set(recordingId, ended);
    this.#use(recordingId, recording);
    this.#closeSurplus();
    return ended;
  }

  get(recordingId: Id): EndedRecording | null {
    return this.#known.get(recordingId) ?? null;
  }

  /** Null when it is not one of these, or not any more. Throws as `reopen` does. */
  async hold(recordingId: Id): Promise<HeldRecording | null> {
    for (;;) {
      const ended = this.#known.get(recordingId);
      if (ended === undefined) return null;
      const recording = this.#open.get(recordingId);
      if (recording !== undefined) return this.#holdNow(recordingId, recording);
      await this.#openAgain(ended);
    }
  }

  /** Knows nothing of it any more, and leaves it to the caller when it is open. */
  async remove(recordingId: Id): Promise<OpenRecording | null> {
    const recording = this.#open.get(recordingId) ?? null;
    this.#known.delete(recordingId);
    this.#open.delete(recordingId);
    // It is closed again by whoever opens it. What that fails with is told to those who wanted it.
    await this.#opening.get(recordingId)?.catch(() => undefined);
    return recording;
  }

  /** Closes all files, also under those who hold them. Idempotent. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const ids = [...this.#known.keys()];
    const closeOne = async (recordingId: Id): Promise<void> => (await this.remove(recordingId))?.close();
    await Promise.all(ids.map(closeOne));
    await Promise.all(this.#closing);
  }

  #holdNow(recordingId: Id, recording: OpenRecording): HeldRecording {
    const letGo = recording.hold();
    this.#use(recordingId, recording);
    this.#closeSurplus();
    const release = (): void => {
      letGo();
      this.#closeSurplus();
    };
    return { recording, release };
  }

  #use(recordingId: Id, recording: OpenRecording): void {
    this.#open.delete(recordingId);
    this.#open.set(recordingId, recording);
  }

  /** Those who want it at the same time share one reading. */
  #openAgain(ended: EndedRecording): Promise<void> {
    const { recordingId } = ended.identity;
    const opening = this.#opening.get(recordingId) ?? this.#openNow(ended);
    this.#opening.set(recordingId, opening);
    return opening;
  }

  async #openNow(ended: EndedRecording): Promise<void> {
    const { recordingId } = ended.identity;
    const isKnown = (): boolean => this.#known.get(recordingId) === ended;
    if (this.#readingCount >= this.#options.maxOpening) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else this.#readingCount += 1;
    try {
      if (!isKnown()) return;
      const recording = await this.#options.reopen(ended);
      if (isKnown()) this.#use(recordingId, recording);
      else await recording.close();
    } finally {
      this.#opening.delete(recordingId);
      // Whoever waits takes the place over.
      const next = this.#waiting.shift();
      if (next === undefined) this.#readingCount -= 1;
      else next();
    }
  }

  /** Those whose publisher may come back any moment, and all of them together, stay open for longest. */
  #closeSurplus(): void {
    const surplus = this.#open.size - (this.#isClosed ? 0 : this.#options.maxOpen);
    if (surplus <= 0) return;
    const idle = [...this.#open.values()].filter(({ isHeld }) => !isHeld);
    const [awaited, others] = [idle.filter(isAwaited), idle.filter((recording) => !isAwaited(recording))];
    for (const recording of [...others, ...awaited].slice(0, surplus)) {
      this.#open.delete(recording.identity.recordingId);
      this.#closeInBackground(recording);
    }
  }

  /** Nothing of it waits for the disk, so nobody waits for this. */
  #closeInBackground(recording: OpenRecording): void {
    const { recordingId } = recording.identity;
    const closing = recording
      .close()
      .catch((error: unknown) => {
        this.#options.log.error(
          { recordingId, err: error },
          'cannot close the journal of a recording that has ended',
        );
      })
      .finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
  }
}

function isAwaited({ ending }: OpenRecording): boolean {
  return ending?.reason === 'publisher-lost';
}
