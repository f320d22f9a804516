import { CodedError, createReconnectPolicy, type Id, type ReconnectPolicy } from '@proofcast/shared';
import type { RtpCapabilities } from 'mediasoup/types';
import { MediaWorker, type MediaWorkerOptions } from './media-worker.ts';
import { leastLoaded, placeStream } from './placement.ts';

export interface WorkersOptions extends Omit<MediaWorkerOptions, 'port'> {
  readonly count: number;
  /** Worker n takes port `firstPort + n`; 0 = any free port. */
  readonly firstPort: number;
}

type SlotState =
  | { readonly kind: 'running'; readonly worker: MediaWorker }
  | { readonly kind: 'starting'; readonly reason: string }
  | { readonly kind: 'waiting'; readonly reason: string; readonly timer: NodeJS.Timeout };

interface Slot {
  readonly index: number;
  readonly restarts: ReconnectPolicy;
  state: SlotState;
}

/** The media workers of this host. One that dies is replaced; what was on it is for its streams to tell. */
export class Workers {
  readonly #options: WorkersOptions;
  readonly #slots: Slot[] = [];
  readonly #waiting = new Set<() => void>();
  readonly #starting = new Set<Promise<void>>();
  #rtpCapabilities: RtpCapabilities = {};
  #deaths = 0;
  #closing: Promise<void> | undefined;

  private constructor(options: WorkersOptions) {
    this.#options = options;
  }

  /** Rejects when one of them does not start, having ended the others. */
  static async open(options: WorkersOptions): Promise<Workers> {
    const workers = new Workers(options);
    try {
      await Promise.all(
        Array.from({ length: options.count }, (_, index) => workers.#track(workers.#openFirst(index))),
      );
      return workers;
    } catch (error) {
      await workers.close();
      throw error;
    }
  }

  /** What clients load their device with; the same for every worker. */
  get rtpCapabilities(): RtpCapabilities {
    return this.#rtpCapabilities;
  }

  /**
   * The worker for a stream that is to be published. Waits for a worker when all are being replaced, and throws
   * `UNAVAILABLE` after a while.
   */
  async placeStream(companyId: Id): Promise<MediaWorker> {
    if (this.running.length === 0) await this.#waitForWorker();
    if (this.#closing) {
      throw new CodedError('SHUTTING_DOWN', 'Cannot place the stream: the SFU is shutting down.');
    }
    const { companyAffinitySlack } = this.#options.limits;
    const worker = placeStream(this.running, companyId, companyAffinitySlack);
    if (worker) return worker;
    throw new CodedError('UNAVAILABLE', `Cannot place the stream: ${this.unreadyReasons().join('; ')}.`);
  }

  /** The worker with the least to do of those that are not in `taken`. */
  leastLoadedBeside(taken: ReadonlySet<MediaWorker>): MediaWorker | undefined {
    return leastLoaded(this.running.filter((worker) => !taken.has(worker)));
  }

  /** Workers that died, or had to be killed, so far. */
  get deaths(): number {
    return this.#deaths;
  }

  /** Process ids of the workers that run. */
  get pids(): readonly number[] {
    return this.running.map(({ pid }) => pid);
  }

  /** Empty when all workers run. */
  unreadyReasons(): string[] {
    return this.#slots.flatMap(({ index, state }) =>
      state.kind === 'running' ? [] : [`media worker ${index} is being replaced: ${state.reason}`],
    );
  }

  /** Ends all workers; resolves when their processes are gone. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#closeAll();
    return this.#closing;
  }

  async #closeAll(): Promise<void> {
    for (const { state } of this.#slots) if (state.kind === 'waiting') clearTimeout(state.timer);
    for (const wake of this.#waiting) wake();
    await Promise.allSettled(this.#starting);
    await Promise.all(this.running.map((worker) => worker.close()));
  }

  get running(): readonly MediaWorker[] {
    return this.#slots.flatMap(({ state }) => (state.kind === 'running' ? [state.worker] : []));
  }

  async #openFirst(index: number): Promise<void> {
    const slot: Slot = {
      index,
      restarts: createReconnectPolicy(this.#options.limits.workerRestart),
      state: { kind: 'starting', reason: 'it has not started yet' },
    };
    this.#slots.push(slot);
    await this.#start(slot);
  }

  async #start(slot: Slot): Promise<void> {
    const { firstPort, limits } = this.#options;
    const port = firstPort === 0 ? 0 : firstPort + slot.index;
    const worker = await MediaWorker.open({ ...this.#options, port });
    if (this.#closing) return worker.close();
    const healthyTimer = setTimeout(() => slot.restarts.reset(), limits.workerHealthyAfterMs).unref();
    worker.onDied((error) => {
      clearTimeout(healthyTimer);
      if (this.#closing) return;
      this.#deaths += 1;
      this.#options.log.error({ err: error, workerPid: worker.pid }, 'media worker died');
      this.#replace(slot, `it died ${error.message}`);
    });
    slot.state = { kind: 'running', worker };
    this.#rtpCapabilities = worker.router.rtpCapabilities;
    this.#options.log.info({ workerPid: worker.pid, slot: slot.index }, 'media worker started');
    for (const wake of this.#waiting) wake();
  }

  /** At once when the worker had lived for a while; more and more slowly when it did not, or did not even start. */
  #replace(slot: Slot, reason: string): void {
    const isFirst = slot.restarts.attempts === 0;
    const delayMs = slot.restarts.nextDelayMs();
    const timer = setTimeout(
      () => {
        slot.state = { kind: 'starting', reason };
        this.#track(this.#start(slot)).catch((error: unknown) => {
          this.#options.log.error({ err: error, slot: slot.index }, 'media worker did not start');
          if (!this.#closing) this.#replace(slot, (error as Error).message);
        });
      },
      isFirst ? 0 : delayMs,
    );
    slot.state = { kind: 'waiting', reason, timer };
  }

  #track(starting: Promise<void>): Promise<void> {
    const tracked = starting.finally(() => this.#starting.delete(tracked));
    this.#starting.add(tracked);
    return tracked;
  }

  /** Resolves when a worker has started, the pool is closed, or the wait has been long enough. */
  #waitForWorker(): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, this.#options.limits.workerWaitMs);
      this.#waiting.add(wake);
    });
  }
}
