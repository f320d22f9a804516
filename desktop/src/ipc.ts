/**
 * The one contract between the main process and the renderer: requests (renderer → main) with their answers, and
 * events (main → renderer). The main process checks every request against these schemas and its sender; the preload
 * script lets through these names and nothing else.
 */
import {
  DeviceId,
  RECORDING_EVENTS,
  RecordingId,
  Refusal,
  StreamId,
  type ErrorBody,
} from '@proofcast/shared';
import { Type, type Static, type TSchema } from 'typebox';

/** The app's own pages; everything else is refused as a sender and as a place to go to. */
export const APP_SCHEME = 'app';
export const APP_ORIGIN = 'app://proofcast';

/** Slices are about 1 MB; one this large means that the recorder ran for minutes without handing anything over. */
export const MAX_SLICE_BYTES = 64 * 1024 * 1024;

const Nothing = Type.Object({}, { additionalProperties: false });
const Count = Type.Integer({ minimum: 0 });
const TimeMs = Type.Integer({ minimum: 0 });
const SourceId = Type.String({ minLength: 1, maxLength: 200 });
const Bytes = Type.Unsafe<Uint8Array>(
  Type.Refine(
    Type.Unknown(),
    (value) => value instanceof Uint8Array && value.length > 0 && value.length <= MAX_SLICE_BYTES,
    () => `must be a Uint8Array of 1 to ${MAX_SLICE_BYTES} bytes`,
  ),
);

/** A screen or window that can be captured. */
export const ScreenSource = Type.Object({
  sourceId: SourceId,
  name: Type.String(),
  kind: Type.Union([Type.Literal('screen'), Type.Literal('window')]),
  /** `data:` URL of a picture; empty when the system gave none. */
  thumbnailUrl: Type.String(),
});
export type ScreenSource = Static<typeof ScreenSource>;

export const Enrolment = Type.Union([
  Type.Object({ kind: Type.Literal('none') }),
  Type.Object({
    kind: Type.Literal('enrolled'),
    serverUrl: Type.String(),
    deviceId: DeviceId,
    deviceName: Type.String(),
    companyName: Type.String(),
    /** Where the private key is protected: by the system's key store, or only by the permissions of its file. */
    keyProtection: Type.Union([Type.Literal('system'), Type.Literal('file')]),
  }),
]);
export type Enrolment = Static<typeof Enrolment>;

const progress = {
  recordingId: RecordingId,
  /** Chunks on this disk that the relay has not confirmed as durable. */
  backlogBytes: Count,
  /** Bytes that the relay has confirmed as durable. */
  durableBytes: Count,
};

/** The recording path: from this disk to the relay's. */
export const RecordingPath = Type.Union([
  Type.Object({ kind: Type.Literal('idle') }),
  /** An earlier recording is being uploaded first. */
  Type.Object({ kind: Type.Literal('waiting'), ...progress }),
  Type.Object({ kind: Type.Literal('connecting'), ...progress }),
  Type.Object({ kind: Type.Literal('uploading'), ...progress }),
  Type.Object({ kind: Type.Literal('reconnecting'), ...progress, sinceMs: TimeMs, reason: Refusal }),
  /** Capture has ended; the rest is on its way. */
  Type.Object({ kind: Type.Literal('finishing'), ...progress }),
  Type.Object({ kind: Type.Literal('finished'), ...progress, chunkCount: Count }),
  Type.Object({ kind: Type.Literal('failed'), ...progress, reason: Refusal }),
]);
export type RecordingPath = Static<typeof RecordingPath>;

export const DesktopState = Type.Object({
  enrolment: Enrolment,
  lastSourceId: Type.Union([SourceId, Type.Null()]),
  /** The running recording, or the last one. */
  recording: RecordingPath,
  /** Viewers of the running recording through the relay. */
  relayViewerCount: Count,
  /** Recordings of earlier runs that are still on this disk. */
  leftovers: Type.Object({
    count: Count,
    bytes: Count,
    /** Why the relay does not take one of them. */
    refusal: Type.Union([Refusal, Type.Null()]),
  }),
});
export type DesktopState = Static<typeof DesktopState>;

/** What the renderer needs to publish to the SFU. */
export const SfuAccess = Type.Object({
  url: Type.String(),
  token: Type.String(),
  streamId: StreamId,
  /** Ask again after this time; zero while newer access cannot be had. */
  renewInMs: Count,
});
export type SfuAccess = Static<typeof SfuAccess>;

export const IPC_REQUESTS = {
  readState: { params: Nothing, result: DesktopState },
  /** Trades a one-time code for a device identity at the relay. */
  enrol: {
    params: Type.Object({
      serverUrl: Type.String({ minLength: 1, maxLength: 2000 }),
      code: Type.String({ minLength: 1, maxLength: 64 }),
    }),
    result: Nothing,
  },
  /** Forgets the enrolment, so that another one can be made. Refused while something is shared. */
  forgetEnrolment: { params: Nothing, result: Nothing },
  listSources: { params: Nothing, result: Type.Object({ sources: Type.Array(ScreenSource) }) },
  /** Must precede `getDisplayMedia`, which then captures this source and cannot capture another one. */
  beginSharing: { params: Type.Object({ sourceId: SourceId }), result: Nothing },
  endSharing: { params: Nothing, result: Nothing },
  readSfuAccess: {
    params: Type.Object({
      /** The SFU refused the token of the last answer. */
      isRefused: Type.Boolean(),
    }),
    result: SfuAccess,
  },
  beginRecording: { params: Nothing, result: Type.Object({ recordingId: RecordingId }) },
  beginEpoch: {
    params: Type.Object({ recordingId: RecordingId, start: RECORDING_EVENTS['epoch-started'] }),
    result: Nothing,
  },
  /** Answers when the slice is on the disk. */
  appendSlice: {
    params: Type.Object({ recordingId: RecordingId, captureTimeUs: Count, bytes: Bytes }),
    result: Nothing,
  },
  /** No slice follows. Answers when that is on the disk; uploading goes on. */
  endRecording: {
    params: Type.Object({ recordingId: RecordingId }),
    result: Type.Object({ chunkCount: Count }),
  },
} as const satisfies Record<string, { params: TSchema; result: TSchema }>;

export const IPC_EVENTS = {
  stateChanged: DesktopState,
  /** The person closes the window or quits: stop in an orderly way, then call `endSharing`. */
  stopRequested: Nothing,
} as const satisfies Record<string, TSchema>;

export type IpcRequests = typeof IPC_REQUESTS;
export type IpcRequestName = keyof IpcRequests;
export type IpcParams<N extends IpcRequestName> = Static<IpcRequests[N]['params']>;
export type IpcResult<N extends IpcRequestName> = Static<IpcRequests[N]['result']>;
export type IpcEvents = typeof IPC_EVENTS;
export type IpcEventName = keyof IpcEvents;
export type IpcEventData<N extends IpcEventName> = Static<IpcEvents[N]>;

/** An answer to a request. Errors travel as values, because Electron keeps only the text of those that are thrown. */
export type IpcAnswer<T> = { ok: true; result: T } | { ok: false; error: ErrorBody };

/** What the preload script puts on `window.proofcast`. */
export interface ProofcastBridge {
  request<N extends IpcRequestName>(name: N, params: IpcParams<N>): Promise<IpcAnswer<IpcResult<N>>>;
  /** Returns the function that ends the subscription. */
  on<N extends IpcEventName>(name: N, listener: (data: IpcEventData<N>) => void): () => void;
}

/** The name of a request or event on Electron's wire. */
export function channelOf(name: IpcRequestName | IpcEventName): string {
  return `proofcast:${name}`;
}
