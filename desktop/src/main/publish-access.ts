/** The tokens with which this device publishes: fetched when they are needed, kept until shortly before they expire. */
import { CodedError, type RouteResponse, type Id } from '@proofcast/shared';
import { decodeJwt } from 'jose';
import type { DeviceKey } from './device-key.ts';
import { callRelay } from './relay-client.ts';

export type PublishTokens = RouteResponse<'createPublishTokens'>;

/** Several streams of one device differ by their slot; this app publishes one. */
const SLOT = 0;

/** Tokens are renewed in the last part of their life, so that a relay that is away for minutes does no harm. */
const MARGIN = 0.2;

/** Less than that is the way to the relay and back, and no reason for a refusal. */
const MIN_CLOCK_CORRECTION_MS = 5_000;

interface Held {
  tokens: PublishTokens;
  /** On the monotonic clock, because the wall clocks of the relay and of this machine may differ. */
  renewAtMs: number;
  expiresAtMs: number;
}

export class PublishAccess {
  readonly #options: {
    serverUrl: string;
    deviceId: Id;
    key: DeviceKey;
    requestTimeoutMs: number;
    onTokens: (tokens: PublishTokens) => Promise<void>;
  };
  #held: Held | undefined;
  /** Relay's clock minus ours, as far as a refused assertion has told it. For tokens only: capture times stay ours. */
  #clockOffsetMs = 0;
  #fetching: Promise<Held> | undefined;

  /** `onTokens` hears of each new set before anybody else; it does not reject. */
  constructor(options: {
    serverUrl: string;
    deviceId: Id;
    key: DeviceKey;
    requestTimeoutMs: number;
    onTokens: (tokens: PublishTokens) => Promise<void>;
  }) {
    this.#options = options;
  }

  /**
   * Tokens that still live, and in how many milliseconds to ask again. When the relay cannot be reached, those in hand
   * serve until they expire. Throws what `callRelay` throws.
   */
  async get(): Promise<{ tokens: PublishTokens; renewInMs: number }> {
    const held = this.#held;
    if (held && performance.now() < held.renewAtMs) return answer(held);
    try {
      return answer(await this.#fetch());
    } catch (error) {
      const isStillValid = held !== undefined && performance.now() < held.expiresAtMs;
      if (isStillValid && error instanceof CodedError && error.isRetryable) return answer(held);
      throw error;
    }
  }

  /** The tokens in hand were refused: the next `get` fetches. */
  discard(): void {
    this.#held = undefined;
  }

  /** One request at a time, whoever asks meanwhile. */
  #fetch(): Promise<Held> {
    this.#fetching ??= this.#request().finally(() => {
      this.#fetching = undefined;
    });
    return this.#fetching;
  }

  async #request(): Promise<Held> {
    const requestedAtMs = performance.now();
    const tokens = await this.#createTokens().catch((error: unknown) => {
      const relayTimeMs = error instanceof CodedError ? error.details?.['relayTimeMs'] : undefined;
      if (typeof relayTimeMs !== 'number') throw error;
      const clockOffsetMs = relayTimeMs - Date.now();
      // An assertion that was refused although it bore the relay's time was refused for another reason.
      if (Math.abs(clockOffsetMs - this.#clockOffsetMs) < MIN_CLOCK_CORRECTION_MS) throw error;
      this.#clockOffsetMs = clockOffsetMs;
      return this.#createTokens();
    });
    const { onTokens } = this.#options;
    const life = lifeMs(tokens.ingest.token);
    this.#held = {
      tokens,
      renewAtMs: requestedAtMs + life * (1 - MARGIN),
      expiresAtMs: requestedAtMs + life,
    };
    await onTokens(tokens);
    return this.#held;
  }

  async #createTokens(): Promise<PublishTokens> {
    const { serverUrl, deviceId, key, requestTimeoutMs } = this.#options;
    const assertion = await key.signAssertion(deviceId, new Date(Date.now() + this.#clockOffsetMs));
    return callRelay('createPublishTokens', {
      serverUrl,
      body: { assertion, slot: SLOT },
      timeoutMs: requestTimeoutMs,
    });
  }
}

function answer(held: Held): { tokens: PublishTokens; renewInMs: number } {
  return { tokens: held.tokens, renewInMs: Math.max(0, Math.ceil(held.renewAtMs - performance.now())) };
}

/** How long a token lives, from its own claims, whatever this machine's clock says. */
function lifeMs(token: string): number {
  const { iat, exp } = decodeJwt(token);
  if (iat === undefined || exp === undefined) {
    throw new CodedError('TOKEN_INVALID', 'Cannot use the token of the server: it has no times.');
  }
  return (exp - iat) * 1000;
}
