/**
 * The time of a media element in terms of wall clocks. Each epoch of a recording counts from zero; here the epochs lie
 * on one timeline, at the distance that the publisher's clock gives, so that gaps stay gaps.
 */

export interface EpochTime {
  readonly epoch: number;
  /** Publisher's clock at timestamp zero of the epoch. */
  readonly startedAtUs: number;
  /** Relay's clock minus publisher's clock. */
  readonly publisherClockOffsetUs: number;
}

interface PlacedEpoch extends EpochTime {
  /** Where timestamp zero lies on the timeline of the media element, in seconds. */
  readonly offsetS: number;
}

export class PlayoutClock {
  readonly #epochs: PlacedEpoch[] = [];

  /** Places an epoch; returns its timestamp offset. It never begins before `bufferedEndS`, whatever the clock says. */
  place(epoch: EpochTime, bufferedEndS: number): number {
    const known = this.#epochs.find((placed) => placed.epoch === epoch.epoch);
    if (known) return known.offsetS;
    const first = this.#epochs[0];
    const byClockS = first ? (epoch.startedAtUs - first.startedAtUs) / 1e6 : 0;
    const offsetS = first ? Math.max(byClockS, bufferedEndS) : 0;
    this.#epochs.push({ ...epoch, offsetS });
    return offsetS;
  }

  /** The relay's clock when the picture at `positionS` was captured, in milliseconds; null before the first epoch. */
  capturedAtMs(positionS: number): number | null {
    const epoch = this.#epochs.findLast((placed) => placed.offsetS <= positionS) ?? this.#epochs[0];
    if (!epoch) return null;
    return relayStartMs(epoch) + (positionS - epoch.offsetS) * 1000;
  }

  /** Where on the timeline that lies which was captured at this time of the relay's clock; null before the first epoch. */
  positionAt(capturedAtMs: number): number | null {
    const epoch = this.#epochs.findLast((placed) => relayStartMs(placed) <= capturedAtMs) ?? this.#epochs[0];
    return epoch ? epoch.offsetS + (capturedAtMs - relayStartMs(epoch)) / 1000 : null;
  }
}

/** The relay's clock at timestamp zero of the epoch. */
function relayStartMs({ startedAtUs, publisherClockOffsetUs }: EpochTime): number {
  return (startedAtUs + publisherClockOffsetUs) / 1000;
}
