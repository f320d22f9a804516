/** Finds out that the peer of a websocket is gone although nobody closed the connection: pings, and cuts off the silent. */
import type { WebSocket } from 'ws';
import type { MediaClock } from './media-clock.ts';

export interface HeartbeatLimits {
  readonly heartbeatIntervalMs: number;
  readonly peerTimeoutMs: number;
}

/**
 * Pings `socket` until the function that it returns is called. Counts beats instead of comparing times, so that neither
 * a clock that jumps nor a relay that was busy cuts anybody off. A socket that is not read at the moment (`pause`)
 * cannot be heard, and is given the whole time again.
 */
export function keepAlive(socket: WebSocket, clock: MediaClock, limits: HeartbeatLimits): () => void {
  const maxSilentBeats = Math.ceil(limits.peerTimeoutMs / limits.heartbeatIntervalMs);
  let silentBeats = 0;
  const onHeard = (): void => {
    silentBeats = 0;
  };
  const beat = (): void => {
    silentBeats = socket.isPaused ? 0 : silentBeats + 1;
    if (silentBeats > maxSilentBeats) return socket.terminate();
    if (socket.readyState === socket.OPEN) socket.ping();
    cancel = clock.schedule(beat, limits.heartbeatIntervalMs);
  };
  let cancel = clock.schedule(beat, limits.heartbeatIntervalMs);
  socket.on('message', onHeard);
  socket.on('pong', onHeard);
  socket.on('ping', onHeard);
  return () => {
    cancel();
    socket.off('message', onHeard);
    socket.off('pong', onHeard);
    socket.off('ping', onHeard);
  };
}
