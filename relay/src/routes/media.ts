import type {
  CodedError,
  DevicePrincipal,
  Id,
  Recording,
  RouteQuery,
  StreamView,
  UserPrincipal,
} from '@proofcast/shared';
import type { WebSocket } from 'ws';

/** What the routes ask of the media half of the relay. */
export interface Media {
  /** Take a socket over at once, in the same turn of the event loop, so that no message is lost. */
  acceptPublisher(socket: WebSocket, device: DevicePrincipal): void;
  acceptViewer(socket: WebSocket, user: UserPrincipal): void;
  /** Ends whatever the device has open, with this reason. */
  disconnectDevice(deviceId: Id, reason: CodedError): void;
  /** The set of streams of the company may have changed; viewers hear of it. */
  refreshStreams(companyId: Id): void;
  listStreams(companyId: Id): Promise<StreamView[]>;
  listRecordings(companyId: Id, query: RouteQuery<'recordings'>): Promise<Recording[]>;
  /** These throw `RECORDING_NOT_FOUND`; those for files also `RECORDING_NOT_READY`. */
  getRecording(companyId: Id, recordingId: Id): Promise<Recording>;
  recordingMediaPath(companyId: Id, recordingId: Id): Promise<{ path: string }>;
  thumbnailPath(companyId: Id, recordingId: Id): Promise<string>;
  /** Why the media half cannot do its work; empty when it can. */
  isReady(): readonly string[];
}
