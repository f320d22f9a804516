/** Signs tokens as the relay does, and publishes its keys in the two ways in which the SFU can get them. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  createId,
  TOKEN_ALGORITHM,
  TOKEN_AUDIENCES,
  TOKEN_ISSUER,
  type Id,
  type Role,
} from '@proofcast/shared';
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey } from 'jose';

export interface TokenOptions {
  companyId?: Id;
  lifetimeS?: number;
  /** Replaces or adds claims; undefined removes one. */
  claims?: Record<string, unknown>;
  /** Another name for EdDSA with the same key (RFC 9864). */
  alg?: 'Ed25519';
}

export class TokenIssuer {
  readonly companyId = createId('company');
  readonly #privateKey: CryptoKey;
  readonly #publicJwk: Record<string, unknown>;
  readonly kid: string;

  private constructor(keys: { privateKey: CryptoKey; publicJwk: Record<string, unknown>; kid: string }) {
    this.#privateKey = keys.privateKey;
    this.#publicJwk = keys.publicJwk;
    this.kid = keys.kid;
  }

  static async create(kid = `key-${createId('company').slice(-6)}`): Promise<TokenIssuer> {
    const { privateKey, publicKey } = await generateKeyPair(TOKEN_ALGORITHM, {
      crv: 'Ed25519',
      extractable: true,
    });
    const publicJwk = { ...(await exportJWK(publicKey)), kid, alg: TOKEN_ALGORITHM, use: 'sig' };
    return new TokenIssuer({ privateKey, publicJwk, kid });
  }

  get keySet(): { keys: Record<string, unknown>[] } {
    return { keys: [this.#publicJwk] };
  }

  /** A token to publish `streamId`. */
  publisher(streamId: Id, options: TokenOptions & { deviceId?: Id } = {}): Promise<string> {
    const { deviceId = createId('device') } = options;
    return this.sign({ purpose: 'sfu:publish', sub: deviceId, stream: streamId }, options);
  }

  /** A token to view the streams of a company. */
  viewer(options: TokenOptions & { userId?: Id; role?: Role } = {}): Promise<string> {
    const { userId = createId('user'), role = 'viewer' } = options;
    return this.sign({ purpose: 'sfu:view', sub: userId, role }, options);
  }

  sign(claims: Record<string, unknown>, options: TokenOptions = {}): Promise<string> {
    const nowS = Math.floor(Date.now() / 1000);
    const payload = {
      iss: TOKEN_ISSUER,
      aud: TOKEN_AUDIENCES['sfu:view'],
      iat: nowS,
      exp: nowS + (options.lifetimeS ?? 300),
      jti: createId('company'),
      company: options.companyId ?? this.companyId,
      ...claims,
      ...options.claims,
    };
    return new SignJWT(payload)
      .setProtectedHeader({ alg: options.alg ?? TOKEN_ALGORITHM, kid: this.kid })
      .sign(this.#privateKey);
  }
}

/** A file with the keys of `issuers`, in a directory of its own. */
export async function writeKeyFile(...issuers: TokenIssuer[]) {
  const directory = await mkdtemp(join(tmpdir(), 'proofcast-keys-'));
  const path = join(directory, 'jwks.json');
  const write = (...current: TokenIssuer[]): Promise<void> =>
    writeFile(path, JSON.stringify({ keys: current.flatMap(({ keySet }) => keySet.keys) }));
  await write(...issuers);
  return { path, write, remove: () => rm(directory, { recursive: true }) };
}

/** The key endpoint of a relay that can be down. It answers on one port for its whole life. */
export class KeyServer {
  /** What it answers with. */
  body: string;
  status = 200;
  requests = 0;
  /** Answers wait for this. */
  hold: Promise<void> = Promise.resolve();
  #server: Server | undefined;
  #port = 0;

  constructor(body: unknown) {
    this.body = JSON.stringify(body);
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}/.well-known/jwks.json`;
  }

  async start(): Promise<this> {
    const server = createServer((_request, response) => {
      this.requests += 1;
      void this.hold.then(() =>
        response
          .writeHead(this.status, { 'content-type': 'application/json', connection: 'close' })
          .end(this.body),
      );
    });
    await new Promise<void>((resolve) => server.listen(this.#port, '127.0.0.1', resolve));
    this.#server = server;
    this.#port = (server.address() as AddressInfo).port;
    return this;
  }

  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server) await new Promise((resolve) => server.close(resolve));
  }
}
