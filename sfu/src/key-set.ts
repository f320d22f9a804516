import { readFile } from 'node:fs/promises';
import { Ed25519PublicJwk, parseJson, parseWith } from '@proofcast/shared';
import type { JSONWebKeySet } from 'jose';
import { Type } from 'typebox';
import { Value } from 'typebox/value';
import type { KeySource } from './config.ts';

const KeySet = Type.Object({ keys: Type.Array(Type.Unknown(), { maxItems: 100 }) });
const KeyId = Type.Object({ kid: Type.String({ minLength: 1, maxLength: 256 }) });

export interface LoadLimits {
  readonly maxBytes: number;
  readonly signal: AbortSignal;
}

/**
 * Loads a JSON Web Key Set (RFC 7517) and keeps of it the public Ed25519 keys (RFC 8037) that have a key id.
 * Rejects, saying where it looked, when there is none.
 */
export async function loadKeySet(source: KeySource, limits: LoadLimits): Promise<JSONWebKeySet> {
  const place = source.kind === 'file' ? source.path : source.url;
  try {
    const text =
      source.kind === 'file' ? await readKeyFile(source.path, limits) : await fetchKeys(source.url, limits);
    const { keys } = parseWith(KeySet, parseJson(text, 'the key set'), 'the key set');
    const usable = keys.flatMap(pickPublicKey);
    if (usable.length === 0) throw new Error('it has no Ed25519 key with a key id');
    return { keys: usable };
  } catch (cause) {
    throw new Error(`Cannot load keys from ${place}: ${reasonOf(cause)}`, { cause });
  }
}

/** Named members only, so that a key set that leaks a private key does not bring it here. */
function pickPublicKey(key: unknown) {
  if (!Value.Check(KeyId, key)) return [];
  const { kty, crv, x } = key as Record<string, unknown>;
  const publicKey = { kty, crv, x };
  return Value.Check(Ed25519PublicJwk, publicKey) ? [{ ...publicKey, kid: key.kid }] : [];
}

async function readKeyFile(path: string, { maxBytes, signal }: LoadLimits): Promise<string> {
  const bytes = await readFile(path, { signal });
  if (bytes.length > maxBytes) throw new Error(`it has more than ${maxBytes} bytes`);
  return bytes.toString('utf8');
}

async function fetchKeys(url: string, { maxBytes, signal }: LoadLimits): Promise<string> {
  const response = await fetch(url, { signal, redirect: 'error', headers: { accept: 'application/json' } });
  if (!response.ok || !response.body) {
    await response.body?.cancel();
    throw new Error(`the answer has status ${response.status}`);
  }
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of response.body) {
    sizeBytes += chunk.byteLength;
    if (sizeBytes > maxBytes) throw new Error(`it has more than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** `fetch` says only "fetch failed"; its cause knows why. */
function reasonOf(error: unknown): string {
  const isFetchFailure = error instanceof TypeError && error.cause instanceof Error;
  const told = isFetchFailure ? error.cause : error;
  return told instanceof Error && told.message ? told.message : String(told);
}
