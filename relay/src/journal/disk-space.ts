/** Looks at the free space of the data disk now and then. */
import { statfs } from 'node:fs/promises';
import { CodedError } from '@proofcast/shared';
import type { MediaClock } from '../media-clock.ts';

export interface DiskSpaceLimits {
  readonly warnFreeBytes: number;
  readonly minFreeBytes: number;
  readonly freeSpaceIntervalMs: number;
}

export class DiskSpace {
  readonly #path: string;
  readonly #limits: DiskSpaceLimits;
  readonly #clock: MediaClock;
  #freeBytes: number;
  #cancel: (() => void) | null = null;
  #isClosed = false;

  private constructor(options: {
    path: string;
    limits: DiskSpaceLimits;
    clock: MediaClock;
    freeBytes: number;
  }) {
    this.#path = options.path;
    this.#limits = options.limits;
    this.#clock = options.clock;
    this.#freeBytes = options.freeBytes;
  }

  static async open(options: {
    path: string;
    limits: DiskSpaceLimits;
    clock: MediaClock;
  }): Promise<DiskSpace> {
    const space = new DiskSpace({ ...options, freeBytes: await freeBytesOf(options.path) });
    space.#scheduleNext();
    return space;
  }

  /** Throws `STORAGE_FULL` when no recording should be begun. */
  async checkRoomForRecording(): Promise<void> {
    this.#freeBytes = await freeBytesOf(this.#path);
    const { minFreeBytes } = this.#limits;
    if (this.#freeBytes >= minFreeBytes) return;
    throw new CodedError(
      'STORAGE_FULL',
      `Cannot begin a recording: ${this.#freeBytes} bytes are free, ${minFreeBytes} are required.`,
    );
  }

  /** A sentence for `/readyz` when space is short, else null. */
  get warning(): string | null {
    const { warnFreeBytes } = this.#limits;
    if (this.#freeBytes >= warnFreeBytes) return null;
    return `The data disk has ${this.#freeBytes} bytes free, less than ${warnFreeBytes}.`;
  }

  close(): void {
    this.#isClosed = true;
    this.#cancel?.();
  }

  #scheduleNext(): void {
    if (this.#isClosed) return;
    this.#cancel = this.#clock.schedule(() => void this.#look(), this.#limits.freeSpaceIntervalMs);
  }

  async #look(): Promise<void> {
    // A disk that does not even answer has no room that one could count on.
    this.#freeBytes = await freeBytesOf(this.#path).catch(() => 0);
    this.#scheduleNext();
  }
}

async function freeBytesOf(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(path);
  return bavail * bsize;
}
