/**
 * Looks at the free space of the data disk now and then, and decides what it allows. A state is left only when there is
 * clearly more space than at the limit by which it was entered, so that it does not flap.
 */
import { statfs } from 'node:fs/promises';
import type { Logger } from 'pino';
import { CodedError } from '@proofcast/shared';
import type { MediaClock } from '../media-clock.ts';

export interface DiskSpaceLimits {
  readonly warnFreeBytes: number;
  readonly minFreeBytes: number;
  /** How much above a limit the free space has to be before the state below it is left; 0.1 is ten per cent. */
  readonly freeSpaceHysteresis: number;
  readonly freeSpaceIntervalMs: number;
}

/** `low`: `/readyz` says so. `full`: new recordings are refused as well. */
export type DiskState = 'ok' | 'low' | 'full';

export interface DiskSpaceOptions {
  readonly path: string;
  readonly limits: DiskSpaceLimits;
  readonly clock: MediaClock;
  readonly log: Logger;
  /** Replaced only by tests, which cannot fill a disk to the byte. */
  readonly freeBytesOf?: (path: string) => Promise<number>;
}

export class DiskSpace {
  readonly #options: DiskSpaceOptions;
  readonly #freeBytesOf: (path: string) => Promise<number>;
  #freeBytes = 0;
  #state: DiskState = 'ok';
  #cancel: (() => void) | null = null;
  #isClosed = false;

  private constructor(options: DiskSpaceOptions) {
    this.#options = options;
    this.#freeBytesOf = options.freeBytesOf ?? statFreeBytes;
  }

  /** Throws when the disk does not answer. */
  static async open(options: DiskSpaceOptions): Promise<DiskSpace> {
    const space = new DiskSpace(options);
    space.#take(await space.#freeBytesOf(options.path));
    space.#scheduleNext();
    return space;
  }

  get freeBytes(): number {
    return this.#freeBytes;
  }

  get state(): DiskState {
    return this.#state;
  }

  /** Throws `STORAGE_FULL` when no recording should be begun. */
  async checkRoomForRecording(): Promise<void> {
    await this.#look();
    if (this.#state !== 'full') return;
    const { minFreeBytes } = this.#options.limits;
    throw new CodedError(
      'STORAGE_FULL',
      `Cannot begin a recording: ${this.#freeBytes} bytes are free, clearly more than ${minFreeBytes} are required.`,
    );
  }

  /** Throws `STORAGE_FULL` when so many bytes more would leave no room for the recordings that run. */
  async checkRoomFor(byteLength: number): Promise<void> {
    await this.#look();
    const { minFreeBytes } = this.#options.limits;
    if (this.#freeBytes - byteLength >= minFreeBytes) return;
    throw new CodedError(
      'STORAGE_FULL',
      `Cannot write ${byteLength} bytes: ${this.#freeBytes} are free, and ${minFreeBytes} have to stay free.`,
    );
  }

  /** A sentence for `/readyz` when space is short, else null. */
  get warning(): string | null {
    const { warnFreeBytes, minFreeBytes } = this.#options.limits;
    switch (this.#state) {
      case 'ok':
        return null;
      case 'low':
        return `The data disk has ${this.#freeBytes} bytes free; it should have more than ${warnFreeBytes}.`;
      case 'full':
        return `The data disk has ${this.#freeBytes} bytes free; new recordings are refused until it has clearly more than ${minFreeBytes}.`;
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#cancel?.();
  }

  #scheduleNext(): void {
    if (this.#isClosed) return;
    const { clock, limits } = this.#options;
    this.#cancel = clock.schedule(
      () => void this.#look().then(() => this.#scheduleNext()),
      limits.freeSpaceIntervalMs,
    );
  }

  /** A disk that does not even answer has no room that one could count on. */
  async #look(): Promise<void> {
    this.#take(await this.#freeBytesOf(this.#options.path).catch(() => 0));
  }

  #take(freeBytes: number): void {
    const { limits, log } = this.#options;
    const before = this.#state;
    this.#freeBytes = freeBytes;
    this.#state = nextState(before, freeBytes, limits);
    if (this.#state === before) return;
    const { warnFreeBytes, minFreeBytes } = limits;
    const fields = { state: this.#state, before, freeBytes, warnFreeBytes, minFreeBytes };
    if (this.#state === 'ok') log.info(fields, 'the data disk has enough space again');
    else if (this.#state === 'low') log.warn(fields, 'the data disk is short of space');
    else log.error(fields, 'the data disk is full: new recordings are refused');
  }
}

function nextState(before: DiskState, freeBytes: number, limits: DiskSpaceLimits): DiskState {
  const enough = (limitBytes: number, wasBelow: boolean): boolean =>
    freeBytes >= (wasBelow ? limitBytes * (1 + limits.freeSpaceHysteresis) : limitBytes);
  if (!enough(limits.minFreeBytes, before === 'full')) return 'full';
  return enough(limits.warnFreeBytes, before !== 'ok') ? 'ok' : 'low';
}

/** What is free for us on the disk of `path`. Throws when the disk does not answer. */
export async function statFreeBytes(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(path);
  return bavail * bsize;
}
