/**
 * The room on disk for what is being made: new recordings keep theirs, and several files that are made at a time do not
 * count on the same.
 */
import { CodedError } from '@proofcast/shared';
import { statFreeBytes } from '../journal/disk-space.ts';
import { KeyedTurns } from '../keyed-turns.ts';
import type { MediaClock } from '../media-clock.ts';
import { workspaceBytes } from './workspace.ts';

export interface DiskRoomOptions {
  /** Absolute. */
  readonly recordingsDir: string;
  readonly limits: { readonly minFreeBytes: number; readonly freeSpaceIntervalMs: number };
  readonly clock: MediaClock;
  /** Replaced only by tests, which cannot fill a disk to the byte. */
  readonly freeBytesOf?: (path: string) => Promise<number>;
}

export interface Room {
  /** How large the file may become. */
  readonly maxOutputBytes: number;
  /** Aborted with `STORAGE_FULL` when the disk is needed for recordings after all. */
  readonly signal: AbortSignal;
  /** Idempotent. */
  release(): void;
}

interface Taken {
  readonly folder: string;
  readonly neededBytes: number;
}

export class DiskRoom {
  readonly #options: DiskRoomOptions;
  readonly #freeBytesOf: (path: string) => Promise<number>;
  readonly #taken = new Set<Taken>();
  readonly #turns = new KeyedTurns();

  constructor(options: DiskRoomOptions) {
    this.#options = options;
    this.#freeBytesOf = options.freeBytesOf ?? statFreeBytes;
  }

  /** For a file of about `neededBytes` that is made in `folder`, until it is released. Throws `STORAGE_FULL`. */
  take(folder: string, neededBytes: number): Promise<Room> {
    // One after the other, so that none counts on what another is just about to take.
    return this.#turns.run('take', async () => {
      const { recordingsDir, limits } = this.#options;
      const freeBytes = await this.#freeBytesOf(recordingsDir);
      const roomBytes = freeBytes - limits.minFreeBytes - (await this.#promisedBytes());
      if (roomBytes < neededBytes) {
        throw new CodedError(
          'STORAGE_FULL',
          `Cannot make the file: ${Math.max(0, roomBytes)} bytes may be used, about ${neededBytes} are needed.`,
        );
      }
      return this.#roomOf({ folder, neededBytes }, roomBytes);
    });
  }

  /** What those that run are still expected to write. */
  async #promisedBytes(): Promise<number> {
    let sum = 0;
    for (const { folder, neededBytes } of this.#taken) {
      sum += Math.max(0, neededBytes - (await workspaceBytes(folder)));
    }
    return sum;
  }

  #roomOf(taken: Taken, maxOutputBytes: number): Room {
    const { clock, limits } = this.#options;
    const full = new AbortController();
    let isReleased = false;
    let cancel: () => void;
    const look = async (): Promise<void> => {
      // A disk that does not answer has no room to speak of.
      const freeBytes = await this.#freeBytesOf(this.#options.recordingsDir).catch(() => 0);
      if (isReleased) return;
      if (freeBytes < limits.minFreeBytes) full.abort(diskFull(freeBytes));
      else cancel = lookLater();
    };
    const lookLater = (): (() => void) => clock.schedule(() => void look(), limits.freeSpaceIntervalMs);
    cancel = lookLater();
    this.#taken.add(taken);
    return {
      maxOutputBytes,
      signal: full.signal,
      release: () => {
        isReleased = true;
        cancel();
        this.#taken.delete(taken);
      },
    };
  }
}

function diskFull(freeBytes: number): CodedError {
  return new CodedError(
    'STORAGE_FULL',
    `Making the file was ended: ${freeBytes} bytes are free, and recordings need them.`,
  );
}
