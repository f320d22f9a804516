/**
 * The public keys of the relay. They are loaded again now and then, and kept when that fails: the SFU goes on with the
 * keys in hand however long the relay is down.
 */
import { CodedError, createReconnectPolicy, type ReconnectPolicy } from '@proofcast/shared';
import {
  createLocalJWKSet,
  errors,
  type CryptoKey,
  type FlattenedJWSInput,
  type JWSHeaderParameters,
  type LocalJWKSet,
} from 'jose';
import type { Logger } from 'pino';
import type { KeySource, SfuLimits } from './config.ts';
import { loadKeySet } from './key-set.ts';

export interface SigningKeysOptions {
  readonly source: KeySource;
  readonly limits: SfuLimits;
  readonly log: Logger;
}

type LoadOutcome =
  | { readonly kind: 'none' }
  | { readonly kind: 'succeeded' }
  | { readonly kind: 'failed'; readonly reason: string };

export class SigningKeys {
  readonly #options: SigningKeysOptions;
  readonly #retries: ReconnectPolicy;
  readonly #abort = new AbortController();
  #keys: LocalJWKSet | undefined;
  #outcome: LoadOutcome = { kind: 'none' };
  #loading: Promise<void> | undefined;
  #lastLoadAtMs = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;

  /** Begins to load. Waits for nothing: without keys the SFU runs, but is not ready. */
  constructor(options: SigningKeysOptions) {
    this.#options = options;
    this.#retries = createReconnectPolicy(options.limits.keyRetry);
    void this.#load();
  }

  /** Undefined when there are keys to verify tokens with. */
  unreadyReason(): string | undefined {
    if (this.#keys) return undefined;
    const because = this.#outcome.kind === 'failed' ? this.#outcome.reason : 'they are being loaded';
    return `no public keys of the relay: ${because}`;
  }

  /**
   * The key that a token says it is signed with. An unknown one has the keys loaded again, but not more often than the
   * cooldown allows, because anybody can make up a key id.
   * Throws `TOKEN_INVALID` when the relay has no such key, `UNAVAILABLE` when the relay could not be asked.
   */
  async resolve(header: JWSHeaderParameters, token: FlattenedJWSInput): Promise<CryptoKey> {
    const known = await this.#find(header, token);
    if (known) return known;
    if (this.#loading) await this.#loading;
    else if (performance.now() - this.#lastLoadAtMs >= this.#options.limits.keyCooldownMs) await this.#load();
    const found = await this.#find(header, token);
    if (found) return found;
    if (this.#outcome.kind === 'succeeded') {
      throw new CodedError('TOKEN_INVALID', 'Cannot accept the token: the relay has no key with its key id.');
    }
    const reason = this.unreadyReason() ?? `its key is new, and new keys cannot be loaded`;
    throw new CodedError('UNAVAILABLE', `Cannot verify the token: ${reason}.`);
  }

  /** Idempotent. */
  close(): void {
    this.#abort.abort();
    clearTimeout(this.#timer);
  }

  async #find(header: JWSHeaderParameters, token: FlattenedJWSInput): Promise<CryptoKey | undefined> {
    try {
      return await this.#keys?.(header, token);
    } catch (error) {
      if (error instanceof errors.JWKSNoMatchingKey) return undefined;
      throw error;
    }
  }

  /** Loads once, and plans the next time. Never rejects. */
  #load(): Promise<void> {
    clearTimeout(this.#timer);
    this.#lastLoadAtMs = performance.now();
    this.#loading = this.#loadAndPlan();
    return this.#loading;
  }

  async #loadAndPlan(): Promise<void> {
    const nextInMs = await this.#loadOnce();
    this.#loading = undefined;
    if (!this.#abort.signal.aborted) this.#timer = setTimeout(() => void this.#load(), nextInMs).unref();
  }

  /** Resolves to the time in milliseconds until the next load. */
  async #loadOnce(): Promise<number> {
    const { source, limits, log } = this.#options;
    try {
      const signal = AbortSignal.any([this.#abort.signal, AbortSignal.timeout(limits.keyLoadTimeoutMs)]);
      const keySet = await loadKeySet(source, { maxBytes: limits.maxKeySetBytes, signal });
      this.#keys = createLocalJWKSet(keySet);
      if (this.#outcome.kind !== 'succeeded') log.info({ keys: keySet.keys.length }, 'public keys loaded');
      this.#outcome = { kind: 'succeeded' };
      this.#retries.reset();
      return limits.keyRefreshIntervalMs;
    } catch (error) {
      const reason = (error as Error).message;
      if (this.#outcome.kind !== 'failed' && !this.#abort.signal.aborted) {
        log.warn({ reason, hasKeys: this.#keys !== undefined }, 'public keys could not be loaded; trying on');
      }
      this.#outcome = { kind: 'failed', reason };
      return this.#retries.nextDelayMs();
    }
  }
}
