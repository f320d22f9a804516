import type { Consumer, Producer } from 'mediasoup/types';
import type { Logger } from 'pino';
import type { SfuLimits } from './config.ts';
import type { LiveStreams } from './live-streams.ts';
import type { Sample, SfuStatistics, StreamStatistics } from './statistics.ts';
import type { Viewer } from './viewer.ts';
import type { Workers } from './workers.ts';

type Source = Consumer | Producer;

/** What mediasoup's statistics of a producer and of a consumer have in common. */
interface RtpStat {
  readonly type: string;
  readonly byteCount: number;
  readonly bitrate: number;
  readonly fractionLost: number;
  readonly roundTripTime?: number | undefined;
}

/**
 * Asks the workers about the pictures they carry: a bounded number in each round, a few at a time, going on in the next
 * round where this one has ended. However many viewers there are, the workers have the same little to answer.
 */
export class StreamSampler {
  readonly #streams: LiveStreams;
  readonly #workers: Workers;
  readonly #limits: SfuLimits;
  readonly #log: Logger;
  readonly #samples = new WeakMap<Source, Sample>();
  #waiting: Source[] = [];
  #timer: NodeJS.Timeout | undefined;
  #sweeping: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(options: { streams: LiveStreams; workers: Workers; limits: SfuLimits; log: Logger }) {
    this.#streams = options.streams;
    this.#workers = options.workers;
    this.#limits = options.limits;
    this.#log = options.log;
    this.#schedule();
  }

  /** What is known at the moment; asks nobody. */
  read(): SfuStatistics {
    return {
      workers: this.#workers.running.map(({ pid, load }) => ({ pid, load })),
      streams: this.#streams.all.map((stream): StreamStatistics => {
        const picture = stream.publisher?.producers.find(({ kind }) => kind === 'video');
        return {
          companyId: stream.companyId,
          streamId: stream.streamId,
          workerPid: stream.home.pid,
          workerCount: stream.outletCount,
          isWanted: stream.isWanted,
          received: this.#sampleOf(picture),
          viewers: stream.viewers.map((viewer) => {
            const consumer = pictureOf(viewer);
            return {
              workerPid: viewer.outlet.worker.pid,
              isPaused: consumer?.paused ?? !viewer.isSeen,
              spatialLayer: consumer?.currentLayers?.spatialLayer ?? null,
              sent: this.#sampleOf(consumer),
              reading: viewer.reading,
            };
          }),
        };
      }),
    };
  }

  /** Resolves when nothing is being asked any more. Idempotent. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    await this.#sweeping;
  }

  #sampleOf(source: Source | undefined): Sample | null {
    return source ? (this.#samples.get(source) ?? null) : null;
  }

  #schedule(): void {
    if (this.#isClosed) return;
    this.#timer = setTimeout(() => {
      this.#sweeping = this.#sweep().finally(() => this.#schedule());
    }, this.#limits.statisticsIntervalMs);
  }

  async #sweep(): Promise<void> {
    const { maxSamplesPerSweep, concurrentSamples } = this.#limits;
    if (this.#waiting.length === 0) this.#waiting = this.#sources();
    const round = this.#waiting.splice(0, maxSamplesPerSweep);
    while (round.length > 0 && !this.#isClosed) {
      await Promise.all(round.splice(0, concurrentSamples).map((source) => this.#sample(source)));
    }
  }

  #sources(): Source[] {
    return this.#streams.all.flatMap(({ publisher, viewers }): Source[] => [
      ...(publisher?.producers ?? []),
      ...viewers.flatMap(({ consumers }) => consumers),
    ]);
  }

  async #sample(source: Source): Promise<void> {
    if (source.closed) return;
    try {
      const stats = (await source.getStats()) as unknown as readonly RtpStat[];
      // A producer is told by what comes in, with an entry for each layer; a consumer by what goes out.
      const own = 'producerId' in source ? 'outbound-rtp' : 'inbound-rtp';
      this.#samples.set(source, toSample(stats.filter(({ type }) => type === own)));
    } catch (err) {
      // What was closed while it was asked has no statistics; anything else is worth a look, and no more.
      if (!source.closed) this.#log.warn({ err }, 'cannot sample statistics');
    }
  }
}

export function pictureOf(viewer: Viewer): Consumer | undefined {
  return viewer.consumers.find(({ kind }) => kind === 'video');
}

function toSample(stats: readonly RtpStat[]): Sample {
  const sum = (of: (stat: RtpStat) => number): number => stats.reduce((total, stat) => total + of(stat), 0);
  const roundTrips = stats.flatMap(({ roundTripTime }) => (roundTripTime ? [roundTripTime] : []));
  return {
    byteCount: sum(({ byteCount }) => byteCount),
    bitrateBps: sum(({ bitrate }) => bitrate),
    // RFC 3550, 6.4.1: of 256.
    lostFraction: Math.max(0, ...stats.map(({ fractionLost }) => fractionLost)) / 256,
    roundTripMs: roundTrips.length > 0 ? Math.max(...roundTrips) : null,
  };
}
