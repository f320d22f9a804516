import { CodedError, createId, type Id, type Me, type Role, type User } from '@proofcast/shared';
import type { Clock } from '../clock.ts';
import type { Database } from '../database/database.ts';
import type { UserRow } from '../database/schema.ts';
import type { Passwords } from './passwords.ts';

export interface NewUser {
  readonly companyId: Id;
  readonly email: string;
  readonly name: string;
  readonly role: Role;
  readonly password: string;
}

/** The people who sign in. An e-mail address names one person of one company. */
export class Users {
  readonly #database: Database;
  readonly #clock: Clock;
  readonly #passwords: Passwords;

  constructor(options: { database: Database; clock: Clock; passwords: Passwords }) {
    this.#database = options.database;
    this.#clock = options.clock;
    this.#passwords = options.passwords;
  }

  /** Throws `EMAIL_TAKEN`. */
  async create(user: NewUser): Promise<User> {
    const row = {
      user_id: createId('user'),
      company_id: user.companyId,
      email: normaliseEmail(user.email),
      name: user.name,
      role: user.role,
      password_hash: await this.#passwords.hash(user.password),
      created_at_ms: this.#clock.nowMs(),
    };
    const inserted = await this.#database
      .insertInto('users')
      .values(row)
      .onConflict((conflict) => conflict.column('email').doNothing())
      .returning('user_id')
      .executeTakeFirst();
    if (!inserted) {
      throw new CodedError('EMAIL_TAKEN', `Cannot create the user: ${row.email} belongs to a user already.`);
    }
    return toUser(row);
  }

  /** Users of the company, oldest first. */
  async list(companyId: Id): Promise<User[]> {
    const rows = await this.#database
      .selectFrom('users')
      .selectAll()
      .where('company_id', '=', companyId)
      .orderBy('created_at_ms')
      .orderBy('user_id')
      .execute();
    return rows.map(toUser);
  }

  /** Whether there is a user in any company. */
  async hasAny(): Promise<boolean> {
    const row = await this.#database.selectFrom('users').select('user_id').limit(1).executeTakeFirst();
    return row !== undefined;
  }

  /** The id of the user with these credentials; throws `CREDENTIALS_WRONG` without telling which of the two is wrong. */
  async verifyCredentials(email: string, password: string): Promise<Id> {
    const row = await this.#database
      .selectFrom('users')
      .select(['user_id', 'password_hash'])
      .where('email', '=', normaliseEmail(email))
      .executeTakeFirst();
    const isRight = await this.#passwords.verify(password, row?.password_hash ?? null);
    if (!row || !isRight) {
      throw new CodedError(
        'CREDENTIALS_WRONG',
        'Cannot sign in: the e-mail address or the password is wrong.',
      );
    }
    return row.user_id;
  }

  /** What a user is told about itself. */
  async me(userId: Id): Promise<Me> {
    const row = await this.#database
      .selectFrom('users')
      .innerJoin('companies', 'companies.company_id', 'users.company_id')
      .select([
        'user_id',
        'email',
        'users.name',
        'role',
        'users.company_id',
        'companies.name as company_name',
      ])
      .where('user_id', '=', userId)
      .executeTakeFirstOrThrow();
    return {
      userId: row.user_id,
      email: row.email,
      name: row.name,
      role: row.role,
      company: { companyId: row.company_id, name: row.company_name },
    };
  }
}

/** The form in which addresses are stored and compared: people do not tell upper from lower case in them. */
export function normaliseEmail(email: string): string {
  return email.trim().toLowerCase();
}

function toUser(row: UserRow): User {
  return {
    userId: row.user_id,
    email: row.email,
    name: row.name,
    role: row.role,
    createdAtMs: row.created_at_ms,
  };
}
