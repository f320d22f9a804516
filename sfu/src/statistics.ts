/** What the SFU tells about its streams: for operators, tests and the metrics. */
import type { Id, ViewReading } from '@proofcast/shared';

export interface SfuStatistics {
  readonly workers: readonly { readonly pid: number; readonly load: number }[];
  readonly streams: readonly StreamStatistics[];
}

export interface StreamStatistics {
  readonly companyId: Id;
  readonly streamId: Id;
  readonly workerPid: number;
  /** Workers that serve its viewers, the publisher's included. */
  readonly workerCount: number;
  readonly isWanted: boolean;
  /** Null until it was sampled, as for everything below. */
  readonly received: Sample | null;
  readonly viewers: readonly ViewerStatistics[];
}

export interface ViewerStatistics {
  readonly workerPid: number;
  /** The SFU sends nothing of the picture. */
  readonly isPaused: boolean;
  /** The layer that is sent at the moment, of a stream that has several. */
  readonly spatialLayer: number | null;
  readonly sent: Sample | null;
  /** What the viewer itself says about its picture. */
  readonly reading: ViewReading | null;
}

/** Of one picture on its way over one transport. */
export interface Sample {
  readonly byteCount: number;
  readonly bitrateBps: number;
  /** Of the packets since the report before, between 0 and 1. */
  readonly lostFraction: number;
  /** Null while no report has come. */
  readonly roundTripMs: number | null;
}
