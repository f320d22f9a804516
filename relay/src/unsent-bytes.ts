/**
 * What of a socket's writes the system has taken, to the byte. Node itself counts whole writes, and makes one of all
 * that wait behind another: for a slow peer nothing would seem to leave for many seconds, then megabytes at once.
 */
import type { Socket } from 'node:net';

/** libuv's own counts, by which Node too tells a slow socket from a dead one (`_onTimeout` in its lib/net.js). */
interface StreamHandle {
  /** Of all writes that were begun. */
  readonly bytesWritten: number;
  /** Of these, what is still to be taken. */
  readonly writeQueueSize: number;
}

/** Bytes of everything that was ever written which have left; never falls while the socket is open. */
export function leftBytes(transport: Socket): number {
  const handle = handleOf(transport);
  if (handle === null) return transport.bytesWritten - transport.writableLength;
  return handle.bytesWritten - handle.writeQueueSize;
}

/** Bytes that were written and have not left. */
export function unsentBytes(transport: Socket): number {
  return transport.writableLength === 0 ? 0 : transport.bytesWritten - leftBytes(transport);
}

/** Null when there is none, as after the end. */
function handleOf(transport: Socket): StreamHandle | null {
  const handle: unknown = Reflect.get(transport, '_handle');
  return isStreamHandle(handle) ? handle : null;
}

function isStreamHandle(handle: unknown): handle is StreamHandle {
  if (typeof handle !== 'object' || handle === null) return false;
  if (!('bytesWritten' in handle) || !('writeQueueSize' in handle)) return false;
  return typeof handle.bytesWritten === 'number' && typeof handle.writeQueueSize === 'number';
}
