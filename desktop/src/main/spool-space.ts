/**
 * The disk space that the spool may use, and the little of it that is kept for the events which say that there is no
 * more: by account, as long as the configured limit is what runs out, and as a file that is given up when the disk is.
 */
import { CodedError } from '@proofcast/shared';
import { open, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { syncDirectory } from './atomic-file.ts';
import type { SpoolLimits } from './config.ts';

const BALLAST_NAME = 'ballast';

export class SpoolSpace {
  readonly #directory: string;
  readonly #limits: SpoolLimits;
  readonly #onChanged: () => void;
  #usedBytes = 0;
  #isFull = false;
  #checking: Promise<void> | undefined;

  /** `onChanged` hears that the space ran out, and that there is some again. */
  constructor(directory: string, limits: SpoolLimits, onChanged: () => void) {
    this.#directory = directory;
    this.#limits = limits;
    this.#onChanged = onChanged;
  }

  get limitBytes(): number {
    return this.#limits.limitBytes;
  }

  /** Bytes of chunks on this disk, whether the relay has them or not. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Whether something was refused for want of room, and no room has been found since. */
  get isFull(): boolean {
    return this.#isFull;
  }

  /** Throws `SPOOL_FULL` when there is no room for media; events may use what is kept for them. */
  reserve(bytes: number, use: 'media' | 'events'): void {
    const keptBytes = use === 'media' ? this.#limits.eventReserveBytes : 0;
    if (this.#usedBytes + bytes > this.limitBytes - keptBytes) {
      this.markFull();
      throw this.#limitReached();
    }
    this.#usedBytes += bytes;
  }

  /** Counts what is there already, whether there is room for it or not. */
  occupy(bytes: number): void {
    this.#usedBytes += bytes;
  }

  release(bytes: number): void {
    this.#usedBytes -= bytes;
    if (this.#isFull && bytes > 0) void this.#lookAgain();
  }

  /** The limit, or the disk itself, has taken all it can. */
  markFull(): void {
    if (this.#isFull) return;
    this.#isFull = true;
    this.#onChanged();
  }

  /** Throws `SPOOL_FULL` unless there is room for a whole segment, so that an epoch that begins can also go on. */
  checkRoom(): Promise<void> {
    this.#checking ??= this.#checkRoom().finally(() => {
      this.#checking = undefined;
    });
    return this.#checking;
  }

  /** Occupies the room for events on the disk itself. Throws what the disk says. */
  async takeBallast(): Promise<void> {
    const path = join(this.#directory, BALLAST_NAME);
    const file = await open(path, 'a', 0o600);
    try {
      const { size } = await file.stat();
      // Real bytes: a file that was merely made longer occupies nothing.
      if (size < this.#limits.eventReserveBytes) {
        await file.write(Buffer.alloc(this.#limits.eventReserveBytes - size));
        await file.sync();
      }
    } finally {
      await file.close();
    }
    await syncDirectory(this.#directory);
  }

  /** Gives the room for events free; without effect where the disk refuses that too. */
  async releaseBallast(): Promise<void> {
    await rm(join(this.#directory, BALLAST_NAME), { force: true }).catch(() => undefined);
  }

  /** Also when a look is under way, which may have come too early. Never rejects. */
  async #lookAgain(): Promise<void> {
    await this.#checking?.catch(() => undefined);
    if (this.#isFull) await this.checkRoom().catch(() => undefined);
  }

  async #checkRoom(): Promise<void> {
    const { segmentBytes, eventReserveBytes } = this.#limits;
    const wantedBytes = segmentBytes + eventReserveBytes;
    if (this.#usedBytes + wantedBytes > this.limitBytes) {
      this.markFull();
      throw this.#limitReached();
    }
    const { bavail, bsize } = await statfs(this.#directory);
    if (bavail * bsize < wantedBytes) {
      this.markFull();
      throw diskFull();
    }
    await this.takeBallast();
    if (!this.#isFull) return;
    this.#isFull = false;
    this.#onChanged();
  }

  #limitReached(): CodedError {
    const { usedBytes, limitBytes } = this;
    return new CodedError(
      'SPOOL_FULL',
      `Cannot keep more on this disk: ${usedBytes} bytes wait for the server, the limit is ${limitBytes}.`,
      { details: { usedBytes, limitBytes } },
    );
  }
}

/** The disk itself has no room, whatever the limit is. */
export function diskFull(cause?: unknown): CodedError {
  return new CodedError('SPOOL_FULL', 'Cannot keep more: the disk of this machine is full.', { cause });
}
