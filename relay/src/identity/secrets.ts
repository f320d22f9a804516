/** Secrets that a caller shows to be recognised (cookies, tickets): made at random, kept only as hashes. */
import { createHash, randomBytes } from 'node:crypto';

const SECRET_BYTES = 32;

/** 256 random bits in base64url: 43 letters that are safe in cookies and URLs. */
export function createSecret(): string {
  return randomBytes(SECRET_BYTES).toString('base64url');
}

/** What is stored of a secret. Looking it up by this hash leaks nothing of the secret by timing. */
export function hashSecret(secret: string): string {
  return createHash('sha256').update(secret).digest('base64url');
}
