/**
 * The HTTP API of the relay: every route with the access it needs, its request and its response. The relay registers
 * its handlers from this table and refuses what is not in it; the dashboard and the desktop app call through it.
 */
import { Type, type Static, type TSchema } from 'typebox';
import { Role, type Permission } from './access.ts';
import { Gap } from './gaps.ts';
import { CompanyId, DeviceId, RecordingId, StreamId, UserId } from './ids.ts';
import { INGEST_PATH, Refusal, StreamView, TimeUs, VIEW_PATH } from './relay-protocol.ts';

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
  /** The publisher did not come back in time. When it does, it goes on in the same recording. */
  Type.Literal('provisional'),
  /** Nothing more can come. It is played from its journal until its file is made. */
  Type.Literal('sealing'),
  Type.Literal('sealed'),
  /** It cannot be played: nothing in it, or its bytes cannot be read. What there is is kept. */
  Type.Literal('failed'),
]);
export type RecordingState = Static<typeof RecordingState>;

export const Recording = Type.Object({
  recordingId: RecordingId,
  streamId: StreamId,
  deviceName: Type.String(),
  sourceName: Type.String(),
  state: RecordingState,
  /** Why it cannot be played, or why its file could not be made yet, which is tried again. */
  failure: Type.Union([Refusal, Type.Null()]),
  /** Whether the publisher, or the revocation of its device, ended it for good. */
  isComplete: Type.Boolean(),
  /** Null while it is being made. */
  gapCount: Type.Union([Type.Integer({ minimum: 0 }), Type.Null()]),
  /** Publisher's wall clock when sharing began; once it has ended, where the file's clock is zero. */
  startedAtMs: TimeMs,
  /** Publisher's wall clock at the last picture. */
  endedAtMs: Type.Union([TimeMs, Type.Null()]),
  durationMs: Type.Union([Type.Integer({ minimum: 0 }), Type.Null()]),
  /** Of all parts. */
  sizeBytes: Type.Union([Type.Integer({ minimum: 0 }), Type.Null()]),
  widthPx: Type.Union([Type.Integer(), Type.Null()]),
  heightPx: Type.Union([Type.Integer(), Type.Null()]),
  hasThumbnail: Type.Boolean(),
});
export type Recording = Static<typeof Recording>;

/** One webm file: epochs that follow one another and share their tracks. */
export const RecordingPart = Type.Object({
  part: Type.Integer({ minimum: 0 }),
  /** Publisher's wall clock where the file's clock is zero. */
  startedAtMs: TimeMs,
  durationMs: Type.Integer({ minimum: 0 }),
  sizeBytes: Type.Integer({ minimum: 0 }),
});
export type RecordingPart = Static<typeof RecordingPart>;

/** An event of the recording; `data` as in `RECORDING_EVENTS`. */
export const TimedEvent = Type.Object({
  /** Publisher's wall clock. */
  atMs: TimeMs,
  epoch: Type.Integer({ minimum: 0 }),
  type: Type.String(),
  data: Type.Record(Type.String(), Type.Union([Type.String(), Type.Number(), Type.Boolean()])),
});
export type TimedEvent = Static<typeof TimedEvent>;

/**
 * What is made of the file of a recording for convenience; it never is the evidence. `sprite`: small pictures along the
 * recording in one image. `joined`: one file of a recording with several parts, encoded again.
 */
export const DERIVATIVE_KINDS = ['poster', 'sprite', 'mp4', 'joined'] as const;
export const DerivativeKind = Type.Enum(DERIVATIVE_KINDS);
export type DerivativeKind = (typeof DERIVATIVE_KINDS)[number];

export const DERIVATIVE_STATES = ['waiting', 'running', 'done', 'failed'] as const;
export const DerivativeState = Type.Enum(DERIVATIVE_STATES);
export type DerivativeState = (typeof DERIVATIVE_STATES)[number];

export const Derivative = Type.Object({
  kind: DerivativeKind,
  /** A `failed` one is made only when somebody asks again. */
  state: DerivativeState,
  /** From 0 to 1. */
  progress: Type.Number({ minimum: 0, maximum: 1 }),
  /** Why the last attempt failed; also while the next one waits. */
  failure: Type.Union([Refusal, Type.Null()]),
  /** Null while there is no file. */
  sizeBytes: Type.Union([Type.Integer({ minimum: 0 }), Type.Null()]),
});
export type Derivative = Static<typeof Derivative>;

/** Where the pictures of a sprite lie, row by row, and of when they are. */
export const SpriteTiles = Type.Object({
  tileWidthPx: Type.Integer({ minimum: 1 }),
  tileHeightPx: Type.Integer({ minimum: 1 }),
  columns: Type.Integer({ minimum: 1 }),
  /**
   * Milliseconds from the start of the recording at which each picture really was on the screen, ascending. The one to
   * show for a time is the last that is not later.
   */
  timesMs: Type.Array(Type.Integer({ minimum: 0 }), { minItems: 1 }),
});
export type SpriteTiles = Static<typeof SpriteTiles>;

export const RecordingDetails = Type.Object({
  ...Recording.properties,
  /** Chunks that are durable. While the recording is being made, all that follows is as of now. */
  chunkCount: Type.Integer({ minimum: 0 }),
  parts: Type.Array(RecordingPart),
  gaps: Type.Array(Gap),
  /** In order; of very many only the first. `eventCount` counts all. */
  events: Type.Array(TimedEvent),
  eventCount: Type.Integer({ minimum: 0 }),
  derivatives: Type.Array(Derivative),
});
export type RecordingDetails = Static<typeof RecordingDetails>;

/** Days of 24 hours. Age counts from the end of a recording; rules K in docs/journal.md. */
const Days = (minimum: number) => Type.Integer({ minimum, maximum: 36_500 });
const DeleteAfterDays = Days(1);
const KeepAtLeastDays = Days(0);
export const RetentionPolicy = Type.Object(
  {
    /** Recordings of this age are deleted; null: never by themselves. Not below `keepAtLeastDays`. */
    deleteAfterDays: Type.Union([DeleteAfterDays, Type.Null()]),
    /** Before this age nobody can delete a recording. */
    keepAtLeastDays: KeepAtLeastDays,
  },
  { additionalProperties: false },
);
export type RetentionPolicy = Static<typeof RetentionPolicy>;

/** What the policy would delete at this moment. */
export const RetentionPreview = Type.Object({
  policy: RetentionPolicy,
  /** All of them; `recordings` lists the oldest, as many as one answer holds. */
  recordingCount: Type.Integer({ minimum: 0 }),
  sizeBytes: Type.Integer({ minimum: 0 }),
  recordings: Type.Array(
    Type.Object({
      recordingId: RecordingId,
      deviceName: Type.String(),
      startedAtMs: TimeMs,
      sizeBytes: Type.Integer({ minimum: 0 }),
    }),
  ),
});
export type RetentionPreview = Static<typeof RetentionPreview>;

/** What is kept of a recording that was deleted. */
export const Tombstone = Type.Object({
  recordingId: RecordingId,
  streamId: StreamId,
  deviceId: DeviceId,
  deviceName: Type.String(),
  startedAtMs: TimeMs,
  endedAtMs: Type.Union([TimeMs, Type.Null()]),
  durationMs: Type.Union([Type.Integer({ minimum: 0 }), Type.Null()]),
  deletedAtMs: TimeMs,
  /** `policy` is the one that held at that moment. */
  policy: RetentionPolicy,
  deletedBy: Type.Union([
    Type.Object({ kind: Type.Literal('retention') }),
    Type.Object({ kind: Type.Literal('user'), userId: UserId, name: Type.String() }),
  ]),
  /** Of everything that was deleted, posters and other derived files included. */
  sizeBytes: Type.Integer({ minimum: 0 }),
  /** The evidence that was deleted. `sha256` is hexadecimal. */
  files: Type.Array(
    Type.Object({
      kind: Type.Union([Type.Literal('media'), Type.Literal('manifest'), Type.Literal('journal')]),
      name: Type.String(),
      sizeBytes: Type.Integer({ minimum: 0 }),
      sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
    }),
  ),
  /** False while files are still to be removed, because the relay was stopped or the disk refused. */
  isFinished: Type.Boolean(),
});
export type Tombstone = Static<typeof Tombstone>;

const StreamParams = Type.Object({ streamId: StreamId });
const RecordingParams = Type.Object({ recordingId: RecordingId });
const DeviceParams = Type.Object({ deviceId: DeviceId });

/**
 * Who may call a route. `public`: anybody. `session`: any signed-in user. A permission: users whose role includes it.
 * `device-assertion`: a JWT signed by the device itself, in the body. `device-token`: a token of the relay for ingest,
 * as `Authorization: Bearer` (RFC 6750). `view-ticket`: a one-time ticket in the query. `metrics`: who has the
 * configured token, as `Authorization: Bearer`; when none is configured, programs on the relay's own machine.
 */
export type RouteAccess =
  | 'public'
  | 'session'
  | 'device-assertion'
  | 'device-token'
  | 'view-ticket'
  | 'metrics'
  | Permission;

export interface RouteDefinition {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
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
      /** Of an earlier run of the relay; it serves meanwhile, and what somebody asks for comes first. */
      journalsToRead: Type.Integer({ minimum: 0 }),
    }),
  },
  jwks: {
    method: 'GET',
    path: '/.well-known/jwks.json',
    access: 'public',
    kind: 'json',
    response: Type.Object({ keys: Type.Array(Type.Unknown()) }),
  },
  /** For Prometheus, in its text format. */
  metrics: { method: 'GET', path: '/metrics', access: 'metrics', kind: 'bytes' },

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

  /**
   * What the websocket sends on a channel, as one body without end: viewer frames back to back, and its messages as
   * frames of kind `control`. Section H of docs/protocol.md.
   */
  streamLive: {
    method: 'GET',
    path: '/api/streams/:streamId/live',
    access: 'live:watch',
    kind: 'bytes',
    params: StreamParams,
    /** As in the message `watch`; the body ends where the websocket would wait for `extend`. */
    query: Type.Object({ fromUs: Type.Optional(TimeUs), untilUs: Type.Optional(TimeUs) }),
  },
  /** The newest still picture as `image/jpeg`; `x-capture-time-us` says when it was taken, by the publisher's clock. */
  streamStill: {
    method: 'GET',
    path: '/api/streams/:streamId/still',
    access: 'live:watch',
    kind: 'bytes',
    params: StreamParams,
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
    response: RecordingDetails,
  },
  /**
   * One part as `video/webm`, with byte ranges (RFC 9110, 14), in every state but `failed`. What is made of the first
   * `chunks` chunks stays the same for ever; without `chunks`, a recording that has no file yet answers with 307 to
   * what there is now, and a player stays with that. Once the file is made of more chunks, what was asked for is
   * `SNAPSHOT_GONE`.
   */
  recordingMedia: {
    method: 'GET',
    path: '/api/recordings/:recordingId/media',
    access: 'recordings:read',
    kind: 'bytes',
    params: RecordingParams,
    query: Type.Object({
      chunks: Type.Optional(Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER })),
      part: Type.Optional(Type.Integer({ minimum: 0, maximum: 1_000_000 })),
    }),
  },
  /** JSON, see manifest.ts: from it and the files of the parts the original chunks are rebuilt, bit for bit. */
  recordingManifest: {
    method: 'GET',
    path: '/api/recordings/:recordingId/manifest',
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

  /**
   * Makes a derivative, or makes one again that failed; one that is there or under way is left as it is. Refused with
   * `RECORDING_NOT_READY` before there is a file, with `LIMIT_REACHED` when the company has too many under way.
   */
  createExport: {
    method: 'POST',
    path: '/api/recordings/:recordingId/exports',
    access: 'recordings:read',
    kind: 'json',
    params: RecordingParams,
    body: Type.Object({ kind: DerivativeKind }),
    response: Derivative,
  },
  /** The file, with byte ranges; `DERIVATIVE_NOT_READY` while it is being made. */
  recordingDerivative: {
    method: 'GET',
    path: '/api/recordings/:recordingId/derivatives/:kind',
    access: 'recordings:read',
    kind: 'bytes',
    params: Type.Object({ recordingId: RecordingId, kind: DerivativeKind }),
  },
  /** What belongs to the image that `recordingDerivative` sends for the kind `sprite`. */
  recordingSpriteTiles: {
    method: 'GET',
    path: '/api/recordings/:recordingId/sprite-tiles',
    access: 'recordings:read',
    kind: 'json',
    params: RecordingParams,
    response: SpriteTiles,
  },

  /** Refused with `RETENTION_KEEPS` and `RECORDING_NOT_READY`. Answers when the files are gone. */
  deleteRecording: {
    method: 'DELETE',
    path: '/api/recordings/:recordingId',
    access: 'retention:manage',
    kind: 'json',
    params: RecordingParams,
    response: Tombstone,
  },
  retentionPolicy: {
    method: 'GET',
    path: '/api/retention',
    access: 'retention:manage',
    kind: 'json',
    response: RetentionPolicy,
  },
  setRetentionPolicy: {
    method: 'PUT',
    path: '/api/retention',
    access: 'retention:manage',
    kind: 'json',
    body: RetentionPolicy,
    response: RetentionPolicy,
  },
  /** A dry run of the policy, or of one in which these numbers are others. */
  retentionPreview: {
    method: 'GET',
    path: '/api/retention/preview',
    access: 'retention:manage',
    kind: 'json',
    query: Type.Object({
      deleteAfterDays: Type.Optional(DeleteAfterDays),
      keepAtLeastDays: Type.Optional(KeepAtLeastDays),
    }),
    response: RetentionPreview,
  },
  tombstones: {
    method: 'GET',
    path: '/api/tombstones',
    access: 'recordings:read',
    kind: 'json',
    query: Type.Object({
      /** Only what follows this one: the last one of the page before. */
      after: Type.Optional(RecordingId),
      limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 200 })),
    }),
    /** Newest first. */
    response: Type.Object({ tombstones: Type.Array(Tombstone) }),
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
