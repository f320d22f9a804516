/** TURN servers for clients that cannot reach the SFU directly, with credentials that expire. */
import { createHmac } from 'node:crypto';
import type { IceServer } from '@proofcast/shared';
import type { Grant } from './tokens.ts';

export interface TurnSettings {
  /** `turn:` and `turns:` URLs (RFC 7065); empty: none. */
  readonly urls: readonly string[];
  /** Shared with the TURN servers: `static-auth-secret` of coturn. */
  readonly secret: string;
  /** How long credentials can be used to begin with; a relayed connection outlives them. */
  readonly ttlS: number;
}

/**
 * The scheme that coturn calls its REST API (draft-uberti-behave-turn-rest-00): the user name is the time of expiry and
 * who it is for, the password an HMAC-SHA1 of that name, so SFU and TURN server need to share nothing but a secret.
 */
export class TurnCredentials {
  readonly #settings: TurnSettings;
  readonly #nowMs: () => number;

  constructor(settings: TurnSettings, nowMs: () => number = Date.now) {
    this.#settings = settings;
    this.#nowMs = nowMs;
  }

  iceServersFor(principal: Grant['principal']): IceServer[] {
    const { urls, secret, ttlS } = this.#settings;
    if (urls.length === 0) return [];
    const expiresAtS = Math.floor(this.#nowMs() / 1000) + ttlS;
    const username = `${expiresAtS}:${principal.kind === 'user' ? principal.userId : principal.deviceId}`;
    const credential = createHmac('sha1', secret).update(username).digest('base64');
    return [{ urls: [...urls], username, credential }];
  }
}
