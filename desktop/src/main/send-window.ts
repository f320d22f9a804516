/** What is on its way to the relay and not yet counted there, and how much more may follow. */
export class SendWindow {
  readonly #limitBytes: number;
  #inFlight: { sequence: number; bytes: number }[] = [];
  #bytes = 0;
  #next: number;

  /** `next` is the number of the first chunk that will be sent. */
  constructor(limitBytes: number, next: number) {
    this.#limitBytes = limitBytes;
    this.#next = next;
  }

  /** The number of the chunk to be sent next; all before were sent. */
  get next(): number {
    return this.#next;
  }

  /** How many chunks are not counted yet. */
  get count(): number {
    return this.#inFlight.length;
  }

  /** Whether a chunk of this size may follow. One always may, however large, when nothing is on its way. */
  hasRoomFor(bytes: number): boolean {
    return this.#inFlight.length === 0 || this.#bytes + bytes <= this.#limitBytes;
  }

  onSent(bytes: number): void {
    this.#inFlight.push({ sequence: this.#next, bytes });
    this.#bytes += bytes;
    this.#next += 1;
  }

  /** The relay counts `receivedCount` chunks. Returns whether that is more than before. */
  onReceived(receivedCount: number): boolean {
    let isMore = false;
    while (this.#inFlight[0] && this.#inFlight[0].sequence < receivedCount) {
      this.#bytes -= this.#inFlight.shift()?.bytes ?? 0;
      isMore = true;
    }
    return isMore;
  }

  /** Chunk `sequence` and all behind it are to be sent again. */
  rewind(sequence: number): void {
    this.#next = sequence;
    this.#inFlight = this.#inFlight.filter((sent) => sent.sequence < sequence);
    this.#bytes = this.#inFlight.reduce((sum, { bytes }) => sum + bytes, 0);
  }
}
