/**
 * Hashing of passwords with Argon2id (RFC 9106) by Node's own OpenSSL, stored in the PHC string format
 * (https://github.com/P-H-C/phc-string-format).
 */
import { argon2, randomBytes, timingSafeEqual } from 'node:crypto';
import { CodedError } from '@proofcast/shared';

/** OWASP Password Storage Cheat Sheet, Argon2id: 19 MiB, two passes, one lane. */
const COST: Cost = { memoryKiB: 19_456, passes: 2, parallelism: 1 };
const SALT_BYTES = 16;
const HASH_BYTES = 32;

interface Cost {
  readonly memoryKiB: number;
  readonly passes: number;
  readonly parallelism: number;
}

interface StoredHash {
  readonly cost: Cost;
  readonly salt: Buffer;
  readonly hash: Buffer;
}

export interface PasswordLimits {
  /**
   * Hashes computed at once. Each takes a thread of libuv's pool, which by default has four and also serves `fdatasync`
   * of the journals.
   */
  readonly concurrency: number;
  /** Hashes that may wait; beyond, sign-ins are refused with `UNAVAILABLE`. */
  readonly maxWaiting: number;
}

export class Passwords {
  readonly #limits: PasswordLimits;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(limits: PasswordLimits) {
    this.#limits = limits;
  }

  /** The PHC string to store. */
  async hash(password: string): Promise<string> {
    const salt = randomBytes(SALT_BYTES);
    return encode({ cost: COST, salt, hash: await this.#derive(password, { cost: COST, salt }) });
  }

  /**
   * Whether `password` is the one behind `stored`. With `null`, for an account that does not exist, it does the same
   * work and answers false, so that the time taken does not tell which accounts exist.
   */
  async verify(password: string, stored: string | null): Promise<boolean> {
    const expected = stored === null ? NOBODY : decode(stored);
    const hash = await this.#derive(password, expected);
    return timingSafeEqual(hash, expected.hash) && stored !== null;
  }

  async #derive(password: string, { cost, salt }: Omit<StoredHash, 'hash'>): Promise<Buffer> {
    await this.#enter();
    try {
      return await deriveKey(password, { cost, salt });
    } finally {
      this.#leave();
    }
  }

  async #enter(): Promise<void> {
    if (this.#running < this.#limits.concurrency) {
      this.#running += 1;
      return;
    }
    if (this.#waiting.length >= this.#limits.maxWaiting) {
      throw new CodedError('UNAVAILABLE', 'Cannot check the password now: too many sign-ins are waiting.');
    }
    // Whoever leaves hands its place over, so `#running` does not change.
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  #leave(): void {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#running -= 1;
  }
}

const NOBODY: StoredHash = { cost: COST, salt: randomBytes(SALT_BYTES), hash: randomBytes(HASH_BYTES) };

function deriveKey(password: string, { cost, salt }: Omit<StoredHash, 'hash'>): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const parameters = {
    // NIST SP 800-63B, 3.1.1.2: the same password typed on another keyboard may come in another Unicode form.
    message: password.normalize('NFKC'),
    nonce: salt,
    memory: cost.memoryKiB,
    passes: cost.passes,
    parallelism: cost.parallelism,
    tagLength: HASH_BYTES,
  };
  argon2('argon2id', parameters, (error, key) => (error ? reject(error) : resolve(key)));
  return promise;
}

const PHC = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$/;

function encode({ cost, salt, hash }: StoredHash): string {
  const unpadded = (bytes: Buffer) => bytes.toString('base64').replace(/=+$/, '');
  const parameters = `m=${cost.memoryKiB},t=${cost.passes},p=${cost.parallelism}`;
  return `$argon2id$v=19$${parameters}$${unpadded(salt)}$${unpadded(hash)}`;
}

function decode(stored: string): StoredHash {
  const [, memoryKiB, passes, parallelism, salt, hash] = PHC.exec(stored) ?? [];
  if (!memoryKiB || !passes || !parallelism || !salt || !hash) {
    throw new Error('Cannot read a stored password: it is not an Argon2id hash in the PHC string format.');
  }
  return {
    cost: { memoryKiB: Number(memoryKiB), passes: Number(passes), parallelism: Number(parallelism) },
    salt: Buffer.from(salt, 'base64'),
    hash: Buffer.from(hash, 'base64'),
  };
}
