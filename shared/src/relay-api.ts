/**
 * The HTTP API of the relay: every route with the access it needs, its request and its response. The relay registers
 * its handlers from this table and refuses what is not in it; the dashboard and the desktop app call through it.
 */
import { Type, type Static, type TSchema } from 'typebox';
import { Role, type Permission } from './access.ts';
import { CompanyId, DeviceId, RecordingId, StreamId, UserId } from './ids.ts';
import { INGEST_PATH, Refusal, StreamView, VIEW_PATH } from './relay-protocol.ts';

const TimeMs = Type.Integer({ minimum: 0, description: 'Milliseconds since 1970' });
const Nothing = Type.Object({});
const Email = Type.String({ pattern: '^[^@\\s]+@[^@\\s]+$', maxLength: 254 });
const Password = Type.String({ minLength: 12, maxLength: 200 });
const Name = Type.String({ minLength: 1, maxLength: 120, pattern: '\\S' });

/** RFC 8037, 2: public key of a device or of the relay. */
export const Ed25519PublicJwk = Type.Object(
  {
    kty: Type.Literal('OKP'),
    crv: Type.Literal('Ed25519'),
    x: Type.String({ minLength: 43, maxLength: 43 }),
  },
  { additionalProperties: false },
);
export type Ed25519PublicJwk = Static<typeof Ed25519PublicJwk>;

export const Me = Type.Object({
  userId: UserId,
  email: Email,
  name: Name,
  role: Role,
  company: Type.Object({ companyId: CompanyId, name: Name }),
});
export type Me = Static<typeof Me>;

export const User = Type.Object({
  userId: UserId,
  email: Email,
  name: Name,
  role: Role,
  createdAtMs: TimeMs,
});
export type User = Static<typeof User>;

export const Device = Type.Object({
  deviceId: DeviceId,
  name: Name,
  platform: Type.String(),
  enrolledAtMs: TimeMs,
  revokedAtMs: Type.Union([TimeMs, Type.Null()]),
});
export type Device = Static<typeof Device>;

/** What the machine tells about itself when it enrols. */
export const MachineInfo = Type.Object({
  hostName: Type.String({ maxLength: 255 }),
  platform: Type.String({ maxLength: 64 }),
  osVersion: Type.String({ maxLength: 255 }),
  userName: Type.String({ maxLength: 255 }),
});
export type MachineInfo = Static<typeof MachineInfo>;

export const RecordingState = Type.Union([
  Type.Literal('recording'),
  /** The publisher is gone, its grace time has not passed. */
  Type.Literal('reconnecting'),
  Type.Literal('sealing'),
  Type.Literal('sealed'),
  /** The file could not be made; the journal is kept. */
  Type.Literal('failed'),
]);
export type RecordingState = Static<typeof RecordingState>;

export const Recording = Type.Object({
  recordingId: RecordingId,
  streamId: StreamId,
  deviceName: Type.String(),
  sourceName: Type.String(),
  state: RecordingState,
  failure: Type.Union([Refusal, Type.Null()]),
  /** Publisher's wall clock when sharing began; once sealed, at the first picture, where the file's clock is zero. */
  startedAtMs: TimeMs,
  /** Publisher's wall clock at the last picture. */
  endedAtMs: Type.Union([TimeMs, Type.Null()]),
  durationMs: Type.Union([Type.Integer({ minimum: 0 }), Type.Null()]),
  sizeBytes: Type.Union([Type.Integer({ minimum: 0 }), Type.Null()]),
  widthPx: Type.Union([Type.Integer(), Type.Null()]),
  heightPx: Type.Union([Type.Integer(), Type.Null()]),
  hasThumbnail: Type.Boolean(),
});
export type Recording = Static<typeof Recording>;

const RecordingParams = Type.Object({ recordingId: RecordingId });
const DeviceParams = Type.Object({ deviceId: DeviceId });

/**
 * Who may call a route. `public`: anybody. `session`: any signed-in user. A permission: users whose role includes it.
 * `device-assertion`: a JWT signed by the device itself, in the body. `device-token`: a token of the relay for ingest,
 * as `Authorization: Bearer` (RFC 6750). `view-ticket`: a one-time ticket in the query.
 */
export type RouteAccess =
  | 'public'
  | 'session'
  | 'device-assertion'
  | 'device-token'
  | 'view-ticket'
  | Permission;

export interface RouteDefinition {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly path: string;
  readonly access: RouteAccess;
  /** `websocket` and `bytes` answer with something other than JSON. */
  readonly kind: 'json' | 'bytes' | 'websocket';
}

export const RELAY_ROUTES = {
  healthz: {
    method: 'GET',
    path: '/healthz',
    access: 'public',
    kind: 'json',
    response: Type.Object({ status: Type.Literal('ok') }),
  },
  readyz: {
    method: 'GET',
    path: '/readyz',
    access: 'public',
    kind: 'json',
    response: Type.Object({
      status: Type.Union([Type.Literal('ready'), Type.Literal('unready')]),
      reasons: Type.Array(Type.String()),
    }),
  },
  jwks: {
    method: 'GET',
    path: '/.well-known/jwks.json',
    access: 'public',
    kind: 'json',
    response: Type.Object({ keys: Type.Array(Type.Unknown()) }),
  },

  signIn: {
    method: 'POST',
    path: '/api/sign-in',
    access: 'public',
    kind: 'json',
    body: Type.Object({ email: Type.String({ maxLength: 254 }), password: Type.String({ maxLength: 200 }) }),
    response: Me,
  },
  signOut: { method: 'POST', path: '/api/sign-out', access: 'session', kind: 'json', response: Nothing },
  me: { method: 'GET', path: '/api/me', access: 'session', kind: 'json', response: Me },

  streams: {
    method: 'GET',
    path: '/api/streams',
    access: 'live:watch',
    kind: 'json',
    response: Type.Object({ streams: Type.Array(StreamView) }),
  },
  createSfuToken: {
    method: 'POST',
    path: '/api/sfu-tokens',
    access: 'live:watch',
    kind: 'json',
    /** `url` is that of the SFU's signalling websocket, complete with its path. */
    response: Type.Object({ url: Type.String(), token: Type.String(), expiresAtMs: TimeMs }),
  },
  createViewTicket: {
    method: 'POST',
    path: '/api/view-tickets',
    access: 'live:watch',
    kind: 'json',
    response: Type.Object({ ticket: Type.String(), expiresAtMs: TimeMs }),
  },
  view: {
    method: 'GET',
    path: VIEW_PATH,
    access: 'view-ticket',
    kind: 'websocket',
    query: Type.Object({ ticket: Type.String({ minLength: 20, maxLength: 200 }) }),
  },

  recordings: {
    method: 'GET',
    path: '/api/recordings',
    access: 'recordings:read',
    kind: 'json',
    query: Type.Object({
      streamId: Type.Optional(StreamId),
      /** Only recordings that started before this time: the `startedAtMs` of the last one of the page before. */
      beforeMs: Type.Optional(TimeMs),
      limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 200 })),
    }),
    /** Newest first. */
    response: Type.Object({ recordings: Type.Array(Recording) }),
  },
  recording: {
    method: 'GET',
    path: '/api/recordings/:recordingId',
    access: 'recordings:read',
    kind: 'json',
    params: RecordingParams,
    response: Recording,
  },
  /** `video/webm`, with byte ranges (RFC 9110, 14). */
  recordingMedia: {
    method: 'GET',
    path: '/api/recordings/:recordingId/media',
    access: 'recordings:read',
    kind: 'bytes',
    params: RecordingParams,
  },
  /** `image/jpeg`. */
  recordingThumbnail: {
    method: 'GET',
    path: '/api/recordings/:recordingId/thumbnail',
    access: 'recordings:read',
    kind: 'bytes',
    params: RecordingParams,
  },

  users: {
    method: 'GET',
    path: '/api/users',
    access: 'users:manage',
    kind: 'json',
    response: Type.Object({ users: Type.Array(User) }),
  },
  createUser: {
    method: 'POST',
    path: '/api/users',
    access: 'users:manage',
    kind: 'json',
    body: Type.Object({ email: Email, name: Name, role: Role, password: Password }),
    response: User,
  },

  devices: {
    method: 'GET',
    path: '/api/devices',
    access: 'devices:manage',
    kind: 'json',
    response: Type.Object({ devices: Type.Array(Device) }),
  },
  revokeDevice: {
    method: 'POST',
    path: '/api/devices/:deviceId/revoke',
    access: 'devices:manage',
    kind: 'json',
    params: DeviceParams,
    response: Device,
  },
  createEnrolmentCode: {
    method: 'POST',
    path: '/api/enrolment-codes',
    access: 'devices:manage',
    kind: 'json',
    body: Type.Object({ deviceName: Name }),
    response: Type.Object({ code: Type.String(), expiresAtMs: TimeMs }),
  },
  /** Trades a one-time code for a device identity. The private key never leaves the device. */
  enrol: {
    method: 'POST',
    path: '/api/enrol',
    access: 'public',
    kind: 'json',
    body: Type.Object({
      code: Type.String({ minLength: 4, maxLength: 64 }),
      publicKey: Ed25519PublicJwk,
      machine: MachineInfo,
    }),
    response: Type.Object({ deviceId: DeviceId, deviceName: Name, companyName: Name }),
  },
  /**
   * Trades an assertion (JWT signed with the device's key: iss and sub = device id, aud = `proofcast-relay`, jti, and
   * an expiry of at most a minute; RFC 7523) for the tokens to publish one stream.
   * `slot` tells several streams of one device apart. `sfu.url` is that of the SFU's signalling websocket, complete with
   * its path; `ingest.path` is a path on this relay. A refusal of the assertion (`TOKEN_INVALID`, `TOKEN_EXPIRED`)
   * tells the relay's clock in `details.relayTimeMs`.
   */
  createPublishTokens: {
    method: 'POST',
    path: '/api/publish-tokens',
    access: 'device-assertion',
    kind: 'json',
    body: Type.Object({
      assertion: Type.String({ minLength: 20, maxLength: 4096 }),
      slot: Type.Integer({ minimum: 0, maximum: 15 }),
    }),
    response: Type.Object({
      streamId: StreamId,
      sfu: Type.Object({ url: Type.String(), token: Type.String() }),
      ingest: Type.Object({ path: Type.String(), token: Type.String() }),
      expiresAtMs: TimeMs,
    }),
  },
  ingest: { method: 'GET', path: INGEST_PATH, access: 'device-token', kind: 'websocket' },
} as const satisfies Record<string, RouteDefinition & Record<string, unknown>>;

export type RelayRoutes = typeof RELAY_ROUTES;
export type RelayRouteName = keyof RelayRoutes;

type SchemaOf<N extends RelayRouteName, P extends string> =
  RelayRoutes[N] extends Record<P, infer S extends TSchema> ? S : never;
export type RouteBody<N extends RelayRouteName> = Static<SchemaOf<N, 'body'>>;
export type RouteQuery<N extends RelayRouteName> = Static<SchemaOf<N, 'query'>>;
export type RouteParams<N extends RelayRouteName> = Static<SchemaOf<N, 'params'>>;
export type RouteResponse<N extends RelayRouteName> = Static<SchemaOf<N, 'response'>>;

/** The path of a route with its parameters filled in, each percent-encoded. */
export function routePath(name: RelayRouteName, params: Readonly<Record<string, string>> = {}): string {
  return RELAY_ROUTES[name].path.replaceAll(/:(\w+)/g, (_, key: string) => {
    const value = params[key];
    if (value === undefined) throw new TypeError(`Route ${name} needs parameter ${key}.`);
    return encodeURIComponent(value);
  });
}
