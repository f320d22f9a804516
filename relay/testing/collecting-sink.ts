import type { CodedError } from '@proofcast/shared';
import type { OutboxFrame, OutboxSink } from '../src/outbox.ts';
import type { OpenEpoch } from '../src/recording/recording-index.ts';

/** What happened to a reader, in order. `command` is what it asked for, noted by the test. */
export type SinkEvent =
  | { readonly type: 'epoch'; readonly epoch: OpenEpoch; readonly offsetUs: number }
  | { readonly type: 'frame'; readonly frame: OutboxFrame }
  | { readonly type: 'held'; readonly atUs: number }
  | { readonly type: 'ended'; readonly error: CodedError }
  | { readonly type: 'command'; readonly command: string };

/** Collects what a reader is sent, and empties itself as slowly as a test wants. */
export class CollectingSink implements OutboxSink {
  readonly log: SinkEvent[] = [];
  bufferedBytes = 0;
  leftBytes = 0;
  isStuck = false;
  #unsent: { byteLength: number; onSent: (() => void) | undefined }[] = [];

  inTurn(task: () => Promise<void>): Promise<void> {
    return task();
  }
  beginEpoch(epoch: OpenEpoch, offsetUs: number): void {
    this.log.push({ type: 'epoch', epoch, offsetUs });
  }
  send(frame: OutboxFrame, onSent?: () => void): void {
    this.log.push({ type: 'frame', frame });
    this.bufferedBytes += frame.payload.length;
    this.#unsent.push({ byteLength: frame.payload.length, onSent });
    if (!this.isStuck) this.drain();
  }
  hold(atUs: number): void {
    this.log.push({ type: 'held', atUs });
  }
  end(error: CodedError): void {
    this.log.push({ type: 'ended', error });
  }

  /** Lets leave what waits, all of it or the oldest frames. */
  drain(count = Number.POSITIVE_INFINITY): void {
    for (const { byteLength, onSent } of this.#unsent.splice(0, count)) {
      this.#onLeft(byteLength);
      onSent?.();
    }
  }

  /** Lets so many bytes leave, as a slow connection does: the oldest first, in the middle of a frame too. */
  drainBytes(byteLength: number): void {
    for (let room = byteLength; room > 0;) {
      const first = this.#unsent[0];
      if (first === undefined) return;
      const part = Math.min(room, first.byteLength);
      room -= part;
      first.byteLength -= part;
      this.#onLeft(part);
      if (first.byteLength > 0) return;
      this.#unsent.shift();
      first.onSent?.();
    }
  }

  #onLeft(byteLength: number): void {
    this.bufferedBytes -= byteLength;
    this.leftBytes += byteLength;
  }

  get frames(): OutboxFrame[] {
    return this.log.flatMap((event) => (event.type === 'frame' ? [event.frame] : []));
  }
  get ended(): CodedError | undefined {
    return this.log.flatMap((event) => (event.type === 'ended' ? [event.error] : []))[0];
  }
  /** The bytes of media, whatever stands between them. */
  get media(): Buffer {
    return Buffer.concat(this.frames.flatMap(({ kind, payload }) => (kind === 'media' ? [payload] : [])));
  }
}
