/**
 * The two HTTP routes of the relay that a device calls, on a real server: enrolment by a one-time code, and tokens for
 * an assertion that the enrolled key has signed.
 */
import { CodedError, createId, RELAY_ROUTES, type Ed25519PublicJwk, type RouteBody } from '@proofcast/shared';
import { importJWK, jwtVerify, SignJWT } from 'jose';
import { EventEmitter, once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export class TestApi extends EventEmitter<{ tokens: [count: number] }> {
  readonly deviceId = createId('device');
  readonly streamId = createId('stream');
  readonly code = 'ABCD-EFGH';
  tokenLifeS = 900;
  /** The clock of this relay minus that of the machine. */
  clockOffsetMs = 0;
  requestCount = 0;
  tokenCount = 0;
  /** Every request is answered with this. */
  refusal: CodedError | undefined;
  /** Every request is answered with these bytes and status 200. */
  rawAnswer: string | undefined;
  redirectTo: string | undefined;
  publicKey: Ed25519PublicJwk | undefined;
  machine: RouteBody<'enrol'>['machine'] | undefined;
  readonly #server: Server;
  readonly #port: number;

  private constructor(server: Server) {
    super();
    this.#server = server;
    this.#port = (server.address() as AddressInfo).port;
    server.on('request', (request, response) => {
      this.#answer(request, response).catch((error: unknown) => {
        const coded = error instanceof CodedError ? error : new CodedError('UNAUTHENTICATED', String(error));
        response.writeHead(coded.status).end(JSON.stringify(coded.toBody()));
      });
    });
  }

  static async open(): Promise<TestApi> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new TestApi(server);
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Idempotent. */
  async close(): Promise<void> {
    if (!this.#server.listening) return;
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.requestCount += 1;
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body: unknown = JSON.parse(Buffer.concat(chunks).toString());
    if (this.redirectTo) return void response.writeHead(307, { location: this.redirectTo }).end();
    if (this.rawAnswer !== undefined) return void response.writeHead(200).end(this.rawAnswer);
    if (this.refusal)
      return void response.writeHead(this.refusal.status).end(JSON.stringify(this.refusal.toBody()));
    const isEnrolment = request.url === RELAY_ROUTES.enrol.path;
    const answer = isEnrolment
      ? this.#enrol(body as RouteBody<'enrol'>)
      : await this.#createTokens(body as RouteBody<'createPublishTokens'>);
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
  }

  #enrol({ code, publicKey, machine }: RouteBody<'enrol'>): object {
    if (code !== this.code) return { code: 'ENROLMENT_CODE_INVALID', message: 'Unknown code.' };
    this.publicKey = publicKey;
    this.machine = machine;
    return { deviceId: this.deviceId, deviceName: 'Desk 7', companyName: 'Example' };
  }

  async #createTokens({ assertion }: RouteBody<'createPublishTokens'>): Promise<object> {
    if (!this.publicKey) throw new Error('Nobody is enrolled.');
    const relayTimeMs = Date.now() + this.clockOffsetMs;
    await jwtVerify(assertion, await importJWK(this.publicKey, 'EdDSA'), {
      issuer: this.deviceId,
      audience: 'proofcast-relay',
      currentDate: new Date(relayTimeMs),
      maxTokenAge: 60,
    }).catch((cause: unknown) => {
      throw new CodedError('TOKEN_EXPIRED', 'Its times are wrong.', { cause, details: { relayTimeMs } });
    });
    this.tokenCount += 1;
    this.emit('tokens', this.tokenCount);
    const issuedAt = Math.floor(Date.now() / 1000) - 5_000_000;
    // The clock of this relay is far behind; only how long a token lives may matter.
    const token = await new SignJWT({ count: this.tokenCount })
      .setProtectedHeader({ alg: 'HS256' })
      .setIssuedAt(issuedAt)
      .setExpirationTime(issuedAt + this.tokenLifeS)
      .sign(new Uint8Array(32));
    return {
      streamId: this.streamId,
      sfu: { url: 'ws://127.0.0.1:1/signaling', token },
      ingest: { path: '/api/ingest', token },
      expiresAtMs: (issuedAt + this.tokenLifeS) * 1000,
    };
  }
}
