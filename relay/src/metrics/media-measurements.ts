import type { DiskState } from '../journal/disk-space.ts';
import type { Carrier } from './media-counts.ts';

/** What the media half is like at one moment. */
export interface MediaMeasurements {
  /** How many streams are in each of these states. */
  readonly streams: Readonly<Record<'live' | 'capture-stalled' | 'reconnecting', number>>;
  readonly publishers: number;
  readonly viewers: Readonly<Record<Carrier, number>>;
  /** Of all recordings: received and not durable. */
  readonly undurableBytes: number;
  /** What connected publishers say they still have to upload, one number each. */
  readonly backlogs: readonly number[];
  /** Recordings of an earlier run whose journals are still to be read. */
  readonly toRecover: number;
  readonly seals: Readonly<Record<'running' | 'waiting', number>>;
  readonly disk: { readonly freeBytes: number; readonly state: DiskState };
}
