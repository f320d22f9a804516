/**
 * The one contract between the main process and the renderer: requests (renderer → main) with their answers, and
 * events (main → renderer). The main process checks every request against these schemas and its sender; the preload
 * script lets through these names and nothing else.
 */
import {
  DeviceId,
  MAX_STILL_BYTES,
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

/** As long as a recording can tell; titles of windows may be longer. */
export const MAX_SOURCE_NAME_LENGTH = 200;

const Nothing = Type.Object({}, { additionalProperties: false });
const Count = Type.Integer({ minimum: 0 });
const TimeMs = Type.Integer({ minimum: 0 });
const SourceId = Type.String({ minLength: 1, maxLength: 200 });
const bytesUpTo = (limitBytes: number) =>
  Type.Unsafe<Uint8Array>(
    Type.Refine(
      Type.Unknown(),
      (value) => value instanceof Uint8Array && value.length > 0 && value.length <= limitBytes,
      () => `must be a Uint8Array of 1 to ${limitBytes} bytes`,
    ),
  );

/** A device that sound comes from: the id for the browser, the name for people. */
export const SoundSource = Type.Object({
  deviceId: Type.String({ minLength: 1, maxLength: 200 }),
  name: Type.String({ maxLength: MAX_SOURCE_NAME_LENGTH }),
});
export type SoundSource = Static<typeof SoundSource>;

/** What is shared: the id for the system, the name for people and for the recording. */
export const SharedSource = Type.Object({
  sourceId: SourceId,
  name: Type.String({ maxLength: MAX_SOURCE_NAME_LENGTH }),
  /** Shared with the picture; none: the share is silent. */
  sound: Type.Optional(SoundSource),
});
export type SharedSource = Static<typeof SharedSource>;

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
  Type.Object({ kind: Type.Literal('connecting'), ...progress }),
  Type.Object({ kind: Type.Literal('uploading'), ...progress }),
  Type.Object({ kind: Type.Literal('reconnecting'), ...progress, sinceMs: TimeMs, reason: Refusal }),
  /** Capture has ended; the rest is on its way. */
  Type.Object({ kind: Type.Literal('finishing'), ...progress }),
  Type.Object({ kind: Type.Literal('finished'), ...progress, chunkCount: Count }),
  Type.Object({ kind: Type.Literal('failed'), ...progress, reason: Refusal }),
]);
export type RecordingPath = Static<typeof RecordingPath>;

/** How far an earlier recording is on its way from this disk to the relay's. */
export const UploadItem = Type.Object({
  recordingId: RecordingId,
  sourceName: Type.String(),
  startedAtMs: TimeMs,
  /** What only this disk has. */
  backlogBytes: Count,
  state: Type.Union([
    Type.Object({ kind: Type.Literal('pending') }),
    Type.Object({ kind: Type.Literal('uploading'), percent: Type.Integer({ minimum: 0, maximum: 100 }) }),
    /** All of it is at the relay, which puts it in order. */
    Type.Object({ kind: Type.Literal('processing') }),
    Type.Object({ kind: Type.Literal('done') }),
    /** Not connected; it goes on trying. */
    Type.Object({ kind: Type.Literal('waiting'), reason: Refusal }),
    /** All there is of it is at the relay; it can be resumed. */
    Type.Object({ kind: Type.Literal('interrupted') }),
    /** The relay will never take it; it can be discarded. */
    Type.Object({ kind: Type.Literal('refused'), reason: Refusal }),
  ]),
});
export type UploadItem = Static<typeof UploadItem>;

/** A share that the end of the app has interrupted. */
export const Resumable = Type.Object({
  recordingId: RecordingId,
  source: SharedSource,
  interruptedAtMs: TimeMs,
  /** Then its recording is finished. */
  untilMs: TimeMs,
});
export type Resumable = Static<typeof Resumable>;

/** What the main process knows of the share, for a page that was loaded anew. */
export const ShareState = Type.Union([
  Type.Object({ kind: Type.Literal('idle') }),
  Type.Object({ kind: Type.Literal('active') }),
  /** The page that captured has died; this one goes on by itself. */
  Type.Object({
    kind: Type.Literal('interrupted'),
    source: SharedSource,
    startedAtMs: TimeMs,
    sinceMs: TimeMs,
  }),
  /** The source was gone before; the person decides what comes next. */
  Type.Object({ kind: Type.Literal('lost'), source: SharedSource, startedAtMs: TimeMs }),
]);
export type ShareState = Static<typeof ShareState>;

export const DesktopState = Type.Object({
  enrolment: Enrolment,
  lastSourceId: Type.Union([SourceId, Type.Null()]),
  share: ShareState,
  /** The running recording, or the last one. */
  recording: RecordingPath,
  /** Since when capture yields nothing although it should; null while it does, and while nothing is captured. */
  stalledSinceMs: Type.Union([TimeMs, Type.Null()]),
  /** The spool, or its disk, has no room; recording goes on when there is some. */
  isSpoolFull: Type.Boolean(),
  /** Viewers of the running recording through the relay. */
  relayViewerCount: Count,
  /** How often the relay wants a still picture; null when it wants none. */
  stillsIntervalMs: Type.Union([Count, Type.Null()]),
  /** What of this enrolment only this disk has. */
  backlogBytes: Count,
  resumable: Type.Union([Resumable, Type.Null()]),
  /** Recordings but the running one, the oldest first: what is still on this disk, and what of it this run has uploaded. */
  uploads: Type.Array(UploadItem),
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
  /** The first request of every page: what the page before it has left running is told in `share`. */
  openPage: { params: Nothing, result: DesktopState },
  readState: { params: Nothing, result: DesktopState },
  /** Trades a one-time code for a device identity at the relay. */
  enrol: {
    params: Type.Object({
      serverUrl: Type.String({ minLength: 1, maxLength: 2000 }),
      code: Type.String({ minLength: 1, maxLength: 64 }),
    }),
    result: Nothing,
  },
  /**
   * Forgets the enrolment, so that another one can be made, and destroys its key. Refused while something is shared, and
   * while recordings wait on this disk, which nobody can deliver any more then, unless they are given up.
   */
  forgetEnrolment: { params: Type.Object({ isBacklogGivenUp: Type.Boolean() }), result: Nothing },
  listSources: { params: Nothing, result: Type.Object({ sources: Type.Array(ScreenSource) }) },
  /**
   * Must precede `getDisplayMedia`, which then captures this source and cannot capture another one. While something is
   * shared, it changes the source.
   */
  beginSharing: {
    params: Type.Object({
      source: SharedSource,
      /** The interrupted recording to go on with. */
      resumes: Type.Optional(RecordingId),
    }),
    result: Nothing,
  },
  /**
   * As `beginSharing` for the source that a page has captured which died. The page may then capture without a click,
   * because the person has chosen the source before.
   */
  continueSharing: { params: Nothing, result: Type.Object({ source: SharedSource }) },
  /** The person has stopped: a page that dies from now on is not continued by the next one. */
  announceStop: { params: Nothing, result: Nothing },
  /** Nothing is shared any more; its recording is finished. */
  endSharing: { params: Nothing, result: Nothing },
  /** Finishes the recording that could be resumed. */
  declineResumption: { params: Nothing, result: Nothing },
  /** Deletes a recording that the relay refuses. */
  discardRecording: { params: Type.Object({ recordingId: RecordingId }), result: Nothing },
  readSfuAccess: {
    params: Type.Object({
      /** The SFU refused the token of the last answer. */
      isRefused: Type.Boolean(),
    }),
    result: SfuAccess,
  },
  /** The recording that the share feeds: the same one as long as the relay takes it. Refused while there is no room. */
  openRecording: { params: Nothing, result: Type.Object({ recordingId: RecordingId }) },
  /** Answers with the number of the epoch, which what belongs to it names. */
  beginEpoch: {
    params: Type.Object({ recordingId: RecordingId, start: RECORDING_EVENTS['epoch-started'] }),
    result: Type.Object({ epoch: Count }),
  },
  /**
   * Answers when the slice is on the disk. A recording that is nearly full is to be followed by another one: the epoch
   * is ended, and the next one begins with `openRecording`. Refused when another epoch has begun.
   */
  appendSlice: {
    params: Type.Object({
      recordingId: RecordingId,
      epoch: Count,
      captureTimeUs: Count,
      bytes: bytesUpTo(MAX_SLICE_BYTES),
    }),
    result: Type.Object({ isNearlyFull: Type.Boolean() }),
  },
  /** No slice follows in this epoch. Answers when the reason is on the disk. */
  endEpoch: {
    params: Type.Object({
      recordingId: RecordingId,
      epoch: Count,
      /** What was captured in it. */
      sourceId: SourceId,
      reason: Type.Union([
        Type.Literal('stopped'),
        Type.Literal('source-ended'),
        Type.Literal('source-changed'),
        Type.Literal('recorder-failed'),
        Type.Literal('recorder-restarted'),
        Type.Literal('suspended'),
      ]),
    }),
    result: Nothing,
  },
  /** A JPEG of what is captured; it is sent when somebody wants it and chunks do not wait behind it. */
  sendStill: {
    params: Type.Object({ captureTimeUs: Count, bytes: bytesUpTo(MAX_STILL_BYTES) }),
    result: Nothing,
  },
} as const satisfies Record<string, { params: TSchema; result: TSchema }>;

export const IPC_EVENTS = {
  stateChanged: DesktopState,
  /** The device goes to sleep: end the epoch. */
  suspended: Nothing,
  /** The device is awake: begin another one. */
  resumed: Nothing,
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
