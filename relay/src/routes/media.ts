import type {
  CodedError,
  DevicePrincipal,
  Id,
  Recording,
  RecordingDetails,
  RouteQuery,
  Still,
  StreamView,
  UserPrincipal,
} from '@proofcast/shared';
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import type { Derivatives } from '../derivatives/derivatives.ts';
import type { ResponseHeaders } from '../http-carrier.ts';
import type { Rewind } from '../outbox.ts';
import type { MediaAnswer, MediaRequest, ServedFile } from '../recording/playback.ts';
import type { ViewerLink } from '../viewer-connections.ts';

/** What the routes ask of the media half of the relay. */
export interface Media {
  /** Take a socket over at once, in the same turn of the event loop, so that no message is lost. */
  acceptPublisher(socket: WebSocket, device: DevicePrincipal): void;
  /** `transport` is what the socket was upgraded from. */
  acceptViewer(socket: WebSocket, user: UserPrincipal, transport: Socket): void;
  /** These reject with `STREAM_NOT_FOUND` or `STREAM_OFFLINE`; nothing was answered then. */
  watchByHttp(request: {
    response: ServerResponse;
    headers: ResponseHeaders;
    user: UserPrincipal;
    streamId: Id;
    rewind: Rewind | null;
  }): Promise<ViewerLink>;
  /** Call it before anything is opened for the answer. Throws `LIMIT_REACHED`. */
  beginDownload(userId: Id, response: ServerResponse): void;
  checkWatchable(companyId: Id, streamId: Id): Promise<void>;
  /** Also rejects with `STILL_NOT_FOUND`. */
  still(companyId: Id, streamId: Id): Promise<Still>;
  /** Ends whatever the device has open, with this reason. */
  disconnectDevice(deviceId: Id, reason: CodedError): void;
  /** The set of streams of the company may have changed; viewers hear of it. */
  refreshStreams(companyId: Id): void;
  listStreams(companyId: Id): Promise<StreamView[]>;
  listRecordings(companyId: Id, query: RouteQuery<'recordings'>): Promise<Recording[]>;
  /** These throw `RECORDING_NOT_FOUND`; those for files also `RECORDING_NOT_READY`. */
  getRecording(companyId: Id, recordingId: Id): Promise<RecordingDetails>;
  /** Also throws `SNAPSHOT_GONE`, `RECORDING_EMPTY`, and `NOT_FOUND` when there is no such part. */
  openRecordingMedia(request: MediaRequest): Promise<MediaAnswer>;
  /** The caller closes the bytes. */
  openManifest(companyId: Id, recordingId: Id): Promise<ServedFile>;
  thumbnailPath(companyId: Id, recordingId: Id): Promise<string>;
  readonly derivatives: Pick<Derivatives, 'request' | 'file' | 'spriteTiles'>;
  /** Why the media half cannot do its work; empty when it can. */
  isReady(): readonly string[];
  /** Journals of an earlier run that are still to be read; it serves meanwhile. */
  readonly journalsToRead: number;
}
