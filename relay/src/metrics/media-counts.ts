/**
 * What the media half counts while it works. Adding to a number is all that its hot paths do for the metrics; the rest
 * happens when somebody reads them.
 */
import type { ErrorCode } from '@proofcast/shared';
import { Histogram } from 'prom-client';
import { RELAY_METRICS } from './metric-definitions.ts';

/** How viewers of the relay get their bytes. */
export type Carrier = 'websocket' | 'http';

export class MediaCounts {
  receivedChunks = 0;
  receivedBytes = 0;
  readonly sentBytes: Record<Carrier, number> = { websocket: 0, http: 0 };
  readonly seals = { sealed: 0, failed: 0 };
  /** An observation takes about 0.3 µs. */
  readonly ackSeconds = histogramOf('proofcast_ack_seconds');
  readonly commitSeconds = histogramOf('proofcast_commit_seconds');
  readonly datasyncSeconds = histogramOf('proofcast_datasync_seconds');
  readonly sealSeconds = histogramOf('proofcast_seal_seconds');
  readonly #refusals: Partial<Record<ErrorCode, number>> = {};

  get refusals(): Readonly<Partial<Record<ErrorCode, number>>> {
    return this.#refusals;
  }

  /** Counts one refusal that a peer was told. */
  refuse(code: ErrorCode): void {
    this.#refusals[code] = (this.#refusals[code] ?? 0) + 1;
  }
}

function histogramOf(
  name:
    | 'proofcast_ack_seconds'
    | 'proofcast_commit_seconds'
    | 'proofcast_datasync_seconds'
    | 'proofcast_seal_seconds',
): Histogram {
  const { help, buckets } = RELAY_METRICS[name];
  // Belongs to no registry until the metrics are opened; there may be several relays in one process.
  return new Histogram({ name, help, buckets: [...buckets], registers: [] });
}
