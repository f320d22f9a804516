/**
 * Messages of the relay's two websockets. `INGEST_*`: a publisher (desktop main process) uploads one recording.
 * `VIEW_*`: a browser watches any number of streams. Binary frames of both: chunk-frame.ts.
 * Numbered rules: docs/protocol.md, sections I and V.
 */
import { Type, type Static } from 'typebox';
import type { MessageOf } from './catalogue.ts';
import { RecordingId, StreamId } from './ids.ts';

export const RELAY_PROTOCOL_VERSION = 1;

/** Paths of the websockets. */
export const INGEST_PATH = '/api/ingest';
export const VIEW_PATH = '/api/view';

const Count = Type.Integer({ minimum: 0 });
export const TimeUs = Type.Integer({
  minimum: 0,
  maximum: Number.MAX_SAFE_INTEGER,
  description: 'Microseconds since 1970',
});
const TimeMs = Type.Integer({ minimum: 0, description: 'Milliseconds since 1970' });

/** An error that refers to something the connection survives. */
const refusalFields = {
  code: Type.String({ maxLength: 64 }),
  message: Type.String({ maxLength: 1000 }),
  details: Type.Optional(
    Type.Record(Type.String(), Type.Union([Type.String(), Type.Number(), Type.Boolean(), Type.Null()])),
  ),
};
export const Refusal = Type.Object(refusalFields);
export type Refusal = Static<typeof Refusal>;

// ── Publisher ⇄ relay ────────────────────────────────────────────────────────────────────────────────────────────

export const INGEST_FROM_PUBLISHER = {
  /** First message. Begins the recording, or resumes it when the relay knows its id. */
  hello: Type.Object({
    protocol: Type.Integer(),
    recordingId: RecordingId,
    /** When capture began; part of the signed start, so a resuming publisher repeats the same value. */
    startedAtUs: TimeUs,
    /** The publisher's clock at the moment of sending. */
    sentAtUs: TimeUs,
    /** False: what follows was captured earlier, and nothing is being captured for it now. Absent means true. */
    isCapturing: Type.Optional(Type.Boolean()),
  }),
  /** No chunk follows: seal. `chunkCount` is the number of all chunks of the recording. */
  stop: Type.Object({ chunkCount: Count }),
  /** What waits on the publisher's disk and is not durable at the relay; rule U6. */
  status: Type.Object({ backlogBytes: Count, backlogChunks: Count }),
} as const;

export const INGEST_FROM_RELAY = {
  welcome: Type.Object({
    recordingId: RecordingId,
    /** Number of the chunk that the relay expects next; all before are durable or will be acknowledged. */
    nextSequence: Count,
    /** Epoch of the chunk before `nextSequence`, null when there is none. */
    epoch: Type.Union([Count, Type.Null()]),
    maxPayloadBytes: Count,
    /** Upper limit of bytes that may be sent and not yet acknowledged as received. */
    windowBytes: Count,
    /** What one recording may have; a publisher begins another one before. */
    maxChunks: Count,
    maxEpochs: Count,
    maxEvents: Count,
    /** How many viewers watch the stream through the relay now. */
    viewerCount: Count,
    /** The relay's clock at the moment of sending. */
    sentAtUs: TimeUs,
  }),
  /** Cumulative counts: chunks 0 … n−1 have been received, or are on disk after `fdatasync`. */
  ack: Type.Object({ received: Count, durable: Count }),
  /** A frame or message was not accepted; `expectedSequence` is what the relay wants next. */
  refused: Type.Object({ ...refusalFields, expectedSequence: Count }),
  /** The number of viewers through the relay has changed. */
  viewers: Type.Object({ viewerCount: Count }),
  /** How often a still picture is wanted; null: none any more. Binary frames of kind `still` answer it. */
  stills: Type.Object({ intervalMs: Type.Union([Type.Integer({ minimum: 100 }), Type.Null()]) }),
  /** The answer to `stop`: the relay has everything on disk and finishes the recording by itself. */
  stopped: Type.Object({ recordingId: RecordingId, chunkCount: Count }),
} as const;

export type MessageFromPublisher = MessageOf<typeof INGEST_FROM_PUBLISHER>;
export type MessageToPublisher = MessageOf<typeof INGEST_FROM_RELAY>;

/** Payload of `event` chunks: what happened, in the same numbered sequence as the media. */
export const RECORDING_EVENTS = {
  /** First chunk of every epoch. */
  'epoch-started': Type.Object({
    /** What MediaRecorder reports, for example `video/webm;codecs=vp8,opus`. */
    mimeType: Type.String({ pattern: '^video/webm', maxLength: 100 }),
    /** Wall clock of the publisher at timestamp zero of the epoch. */
    startedAtUs: TimeUs,
    sourceName: Type.String({ maxLength: 200 }),
    widthPx: Type.Integer({ minimum: 1, maximum: 16_384 }),
    heightPx: Type.Integer({ minimum: 1, maximum: 16_384 }),
    hasAudio: Type.Boolean(),
  }),
  /** The recorder runs but delivers nothing (W3C MediaStream Recording does not report this by itself). */
  'capture-stalled': Type.Object({}),
  'capture-resumed': Type.Object({}),
  /** Last chunk with bytes of its epoch: media may follow in the next epoch only. */
  'epoch-ended': Type.Object({
    reason: Type.Union([
      Type.Literal('stopped'),
      Type.Literal('source-ended'),
      Type.Literal('source-changed'),
      Type.Literal('recorder-failed'),
      Type.Literal('recorder-restarted'),
      /** The device went to sleep. */
      Type.Literal('suspended'),
      Type.Literal('spool-full'),
      Type.Literal('page-crashed'),
      Type.Literal('app-crashed'),
    ]),
  }),
  /** The publisher may keep no more chunks on its own disk; `limitBytes` is what it is configured to keep. */
  'spool-full': Type.Object({ limitBytes: Count }),
  /** Nothing is captured until `resumed`, because somebody or something wants it so. */
  paused: Type.Object({
    reason: Type.Union([Type.Literal('person'), Type.Literal('policy'), Type.Literal('screen-locked')]),
  }),
  resumed: Type.Object({}),
  /** Whoever looks at the device sees its lock screen; whether that can be captured depends on the system. */
  'screen-locked': Type.Object({}),
  'screen-unlocked': Type.Object({}),
} as const;
export type RecordingEvent = MessageOf<typeof RECORDING_EVENTS>;
export type EpochStart = Static<(typeof RECORDING_EVENTS)['epoch-started']>;
export type EpochEndReason = Static<(typeof RECORDING_EVENTS)['epoch-ended']>['reason'];

// ── Viewer ⇄ relay ───────────────────────────────────────────────────────────────────────────────────────────────

/** What the wall says about a stream; `sinceMs` is when that state began. */
export const StreamState = Type.Union([
  Type.Object({ kind: Type.Literal('live'), sinceMs: TimeMs }),
  /** The publisher's socket is gone and its grace time has not passed. */
  Type.Object({ kind: Type.Literal('reconnecting'), sinceMs: TimeMs }),
  /** The publisher is there, and its capture delivers nothing, or nothing is captured: rule V14. */
  Type.Object({ kind: Type.Literal('capture-stalled'), sinceMs: TimeMs }),
  Type.Object({ kind: Type.Literal('offline'), sinceMs: Type.Union([TimeMs, Type.Null()]) }),
]);
export type StreamState = Static<typeof StreamState>;

export const StreamView = Type.Object({
  streamId: StreamId,
  deviceName: Type.String(),
  /** Name of the captured screen or window; empty until the stream was live once. */
  sourceName: Type.String(),
  /** What comes live has sound. */
  hasSound: Type.Boolean(),
  state: StreamState,
  /** The recording that is being made. */
  recordingId: Type.Union([RecordingId, Type.Null()]),
  /** Viewers through the relay. */
  viewerCount: Count,
});
export type StreamView = Static<typeof StreamView>;

/** The viewer's own number for one stream that it watches; binary frames carry it. */
const Channel = Type.Integer({ minimum: 1, maximum: 0xffff_ffff });

export const VIEW_FROM_VIEWER = {
  /**
   * Live, or from `fromUs` on as `seek` does; without `untilUs` as far as there is anything. All times of the past are
   * of the publisher's wall clock.
   */
  watch: Type.Object({
    channel: Channel,
    streamId: StreamId,
    fromUs: Type.Optional(TimeUs),
    untilUs: Type.Optional(TimeUs),
  }),
  /** Goes to the newest key cluster that is not later than `fromUs`, and sends what there is before `untilUs`. */
  seek: Type.Object({ channel: Channel, fromUs: TimeUs, untilUs: TimeUs }),
  /** Lets the reader that was rewound go on up to `untilUs`. */
  extend: Type.Object({ channel: Channel, untilUs: TimeUs }),
  /** Goes to the newest key cluster, and on with what comes. */
  live: Type.Object({ channel: Channel }),
  unwatch: Type.Object({ channel: Channel }),
} as const;

export const VIEW_FROM_RELAY = {
  /** First message: all streams that the viewer may watch, and the relay's clock. */
  streams: Type.Object({ streams: Type.Array(StreamView), sentAtUs: TimeUs }),
  streamChanged: StreamView,
  streamRemoved: Type.Object({ streamId: StreamId }),
  /** Precedes the init segment of each epoch on the channel. */
  epoch: Type.Object({
    channel: Channel,
    epoch: Count,
    mimeType: Type.String(),
    /** Wall clock of the publisher at timestamp zero of the epoch. */
    startedAtUs: TimeUs,
    /** Relay's clock minus publisher's clock, measured at the last hello. */
    publisherClockOffsetUs: Type.Integer(),
  }),
  /** All before the key cluster at `atUs` was sent; it and what follows comes after `extend`. */
  held: Type.Object({ channel: Channel, atUs: TimeUs }),
  /** Nothing more will come on the channel; the viewer may watch again when the stream is live. */
  ended: Type.Object({ channel: Channel, reason: Refusal }),
  refused: Type.Object({ ...refusalFields, channel: Type.Union([Channel, Type.Null()]) }),
} as const;

export type MessageFromViewer = MessageOf<typeof VIEW_FROM_VIEWER>;
export type MessageToViewer = MessageOf<typeof VIEW_FROM_RELAY>;
