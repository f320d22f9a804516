import { CodedError, type Id, type UserPrincipal } from '@proofcast/shared';
import type { Clock } from '../clock.ts';
import type { Database } from '../database/database.ts';
import { createSecret, hashSecret } from './secrets.ts';

/** A signed-in user, as one browser presents itself. */
export interface Session {
  /** Names the session inside the relay; the cookie itself is not kept. */
  readonly sessionHash: string;
  readonly user: UserPrincipal;
  readonly expiresAtMs: number;
}

/** Sessions of browsers. Only the hash of a cookie is stored, so the database cannot be used to sign in. */
export class Sessions {
  readonly #database: Database;
  readonly #clock: Clock;
  readonly #lifetimeMs: number;

  constructor(options: { database: Database; clock: Clock; lifetimeMs: number }) {
    this.#database = options.database;
    this.#clock = options.clock;
    this.#lifetimeMs = options.lifetimeMs;
  }

  /** Starts a session; `cookie` is its secret. Sessions that have expired are forgotten on the way. */
  async create(userId: Id): Promise<{ cookie: string; expiresAtMs: number }> {
    const nowMs = this.#clock.nowMs();
    const cookie = createSecret();
    const expiresAtMs = nowMs + this.#lifetimeMs;
    await this.#database.deleteFrom('sessions').where('expires_at_ms', '<=', nowMs).execute();
    await this.#database
      .insertInto('sessions')
      .values({
        session_hash: hashSecret(cookie),
        user_id: userId,
        created_at_ms: nowMs,
        expires_at_ms: expiresAtMs,
      })
      .execute();
    return { cookie, expiresAtMs };
  }

  /** The session of a cookie; throws `UNAUTHENTICATED`. */
  authenticate(cookie: string): Promise<Session> {
    return this.find(hashSecret(cookie));
  }

  /** The session with this hash and what its user may do now; throws `UNAUTHENTICATED` when it has ended. */
  async find(sessionHash: string): Promise<Session> {
    const row = await this.#database
      .selectFrom('sessions')
      .innerJoin('users', 'users.user_id', 'sessions.user_id')
      .select(['users.user_id', 'users.company_id', 'users.role', 'sessions.expires_at_ms'])
      .where('session_hash', '=', sessionHash)
      .where('expires_at_ms', '>', this.#clock.nowMs())
      .executeTakeFirst();
    if (!row) throw new CodedError('UNAUTHENTICATED', 'The session has ended; sign in again.');
    return {
      sessionHash,
      user: { kind: 'user', userId: row.user_id, companyId: row.company_id, role: row.role },
      expiresAtMs: row.expires_at_ms,
    };
  }

  /** Ends a session; ending it twice is no error. */
  async end(sessionHash: string): Promise<void> {
    await this.#database.deleteFrom('sessions').where('session_hash', '=', sessionHash).execute();
  }
}
