/** What recovery learns from the records of a journal: how much was durable for certain, and what came behind it. */
import { copyBytes } from '@proofcast/shared';
import type { JournalReader } from './journal-reader.ts';
import type { JournalRecord } from './record.ts';

/** Where the payload of a chunk is. The journal moves it, and writes it again after a crash, until it is durable. */
export interface StoredPayload {
  /** Whether the place is final. */
  isDurable: boolean;
  place:
    | { readonly kind: 'memory'; readonly bytes: Uint8Array }
    | {
        readonly kind: 'file';
        readonly segment: number;
        readonly start: number;
        readonly byteLength: number;
      };
}

/** A record that is not known to be durable. */
export interface Pending {
  readonly record: Omit<JournalRecord, 'durableBytes'>;
  readonly stored: StoredPayload | null;
  /** When the chunk was taken, by a monotonic clock; not of what an earlier run of the relay took. */
  readonly takenAtMs?: number;
}

export interface RecoveredTail {
  /** Where the bytes of the last file end that were durable for certain; a border between records. */
  readonly durableEnd: number;
  /** The records behind it. */
  readonly pending: readonly Pending[];
  readonly durable: DurableState;
}

/** What a journal has on disk for certain, as far as its next file has to know. */
export interface DurableState {
  readonly count: number;
  readonly chain: Uint8Array;
  readonly epoch: number;
}

/** Reads all records, and keeps those of the last file that no later one confirms. */
export async function readTail(
  reader: JournalReader,
  onRecord: (record: JournalRecord, stored: StoredPayload) => void,
): Promise<RecoveredTail> {
  const { lastStart } = reader;
  const lastNumber = reader.segments.at(-1)?.number;
  // Whatever a later file takes over from was durable when that file was begun.
  let durable = durableAfter(lastStart.record);
  let durableEnd = 0;
  const tail: { end: number; pending: Pending }[] = [
    { end: lastStart.end, pending: { record: lastStart.record, stored: null } },
  ];
  for await (const read of reader.records()) {
    const { record } = read;
    const byteLength = record.payload.length;
    const stored: StoredPayload = {
      isDurable: read.segment !== lastNumber,
      place: { kind: 'file', segment: read.segment, start: read.payloadStart, byteLength },
    };
    onRecord(record, stored);
    if (read.segment !== lastNumber) continue;
    while (tail[0] !== undefined && tail[0].end <= record.durableBytes) {
      durableEnd = tail[0].end;
      const { pending } = tail[0];
      durable = durableAfter(pending.record);
      if (pending.stored !== null) pending.stored.isDurable = true;
      tail.shift();
    }
    tail.push({ end: read.end, pending: { record, stored: record.kind === 'end' ? null : stored } });
  }
  return { durableEnd, durable, pending: tail.map(({ pending }) => pending) };
}

/** `start` and `end` carry the number of the next chunk, a chunk its own. The copy lets go of the buffer around. */
export function durableAfter({ kind, sequence, chain, epoch }: Pending['record']): DurableState {
  const isChunk = kind === 'media' || kind === 'event';
  return { count: isChunk ? sequence + 1 : sequence, chain: copyBytes(chain), epoch };
}
