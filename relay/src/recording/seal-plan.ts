/** Reads a journal once to learn what the sealed file must contain, and again to give out the bytes of its epochs. */
import {
  parseMessage,
  RECORDING_EVENTS,
  WebmScanner,
  type EpochStart,
  type WebmItem,
  type WebmTrack,
} from '@proofcast/shared';
import type { JournalReader, ReadRecord } from '../journal/journal-reader.ts';

/** One run of the recorder of which at least one picture arrived. */
export interface EpochPlan {
  readonly number: number;
  readonly start: EpochStart;
  readonly tracks: readonly WebmTrack[];
  /** Bytes up to the end of the last whole block; what was torn off behind it is no picture. */
  readonly wholeBytes: number;
  readonly videoBlocks: number;
  /** Timestamp of the last block, and of the last picture. */
  readonly lastBlockMs: number;
  readonly lastPictureMs: number;
}

export interface SealPlan {
  readonly chunkCount: number;
  readonly journalBytes: number;
  readonly epochs: readonly EpochPlan[];
}

/** Throws `STORAGE_FAILED` when the journal is damaged. */
export async function planSeal(reader: JournalReader): Promise<SealPlan> {
  const epochs: EpochPlan[] = [];
  let open: OpenPlan | null = null;
  let chunkCount = 0;
  let journalBytes = 0;
  for await (const { record, start, end } of reader.records()) {
    journalBytes += end - start;
    if (record.kind === 'end') continue;
    chunkCount += 1;
    if (record.kind === 'media') open?.push(record.payload);
    else {
      const event = parseMessage(RECORDING_EVENTS, new TextDecoder().decode(record.payload));
      if (event.type !== 'epoch-started') continue;
      if (open !== null) epochs.push(open.finish());
      open = new OpenPlan(record.epoch, event.data);
    }
  }
  if (open !== null) epochs.push(open.finish());
  return { chunkCount, journalBytes, epochs: epochs.filter((epoch) => epoch.videoBlocks > 0) };
}

/** Gives out the media of a journal epoch by epoch, in one pass. */
export class EpochBytes {
  readonly #records: AsyncGenerator<ReadRecord>;
  #current: ReadRecord | null = null;

  constructor(reader: JournalReader) {
    this.#records = reader.records();
  }

  /** The first `wholeBytes` bytes of the epoch. Epochs are asked for in ascending order, each once. */
  async *take({ number, wholeBytes }: EpochPlan): AsyncGenerator<Uint8Array> {
    let left = wholeBytes;
    this.#current ??= await this.#next();
    while (this.#current !== null && this.#current.record.epoch <= number) {
      const { kind, epoch, payload } = this.#current.record;
      if (kind === 'media' && epoch === number && left > 0) {
        yield payload.subarray(0, left);
        left -= Math.min(left, payload.length);
      }
      this.#current = await this.#next();
    }
  }

  async #next(): Promise<ReadRecord | null> {
    const next = await this.#records.next();
    return next.done === true ? null : next.value;
  }
}

class OpenPlan {
  readonly #number: number;
  readonly #start: EpochStart;
  readonly #scanner = new WebmScanner();
  #tracks: readonly WebmTrack[] = [];
  #wholeBytes = 0;
  #videoBlocks = 0;
  #lastBlockMs = 0;
  #lastPictureMs = 0;

  constructor(number: number, start: EpochStart) {
    this.#number = number;
    this.#start = start;
  }

  push(payload: Uint8Array): void {
    for (const item of this.#scanner.push(payload)) this.#note(item);
  }

  finish(): EpochPlan {
    for (const item of this.#scanner.finish()) this.#note(item);
    return {
      number: this.#number,
      start: this.#start,
      tracks: this.#tracks,
      wholeBytes: this.#wholeBytes,
      videoBlocks: this.#videoBlocks,
      lastBlockMs: this.#lastBlockMs,
      lastPictureMs: this.#lastPictureMs,
    };
  }

  #note(item: WebmItem): void {
    if (item.type === 'init') this.#tracks = item.tracks;
    if (item.type === 'clusterEnd') this.#wholeBytes = item.end;
    if (item.type !== 'block') return;
    this.#lastBlockMs = Math.max(this.#lastBlockMs, item.timestampMs);
    if (item.trackKind !== 'video') return;
    this.#videoBlocks += 1;
    this.#lastPictureMs = Math.max(this.#lastPictureMs, item.timestampMs);
  }
}
