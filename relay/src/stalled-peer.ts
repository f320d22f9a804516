/** Cuts off a peer that takes no bytes although some wait for it: pings say nothing about that, and HTTP has none. */
import type { Socket } from 'node:net';
import type { MediaClock } from './media-clock.ts';
import { leftBytes } from './unsent-bytes.ts';

export interface StalledPeerLimits {
  readonly heartbeatIntervalMs: number;
  readonly maxStallMs: number;
}

/**
 * Destroys `transport` when bytes wait and none have left for `maxStallMs`, until the returned function is called.
 * Counts beats, as the heartbeat does. `onBeat` is called at each, after the check.
 */
export function cutOffStalled(
  transport: Socket,
  { clock, limits, onBeat }: { clock: MediaClock; limits: StalledPeerLimits; onBeat?: () => void },
): () => void {
  const maxBeats = Math.ceil(limits.maxStallMs / limits.heartbeatIntervalMs);
  let leftBefore = leftBytes(transport);
  let stalledBeats = 0;
  const beat = (): void => {
    const leftNow = leftBytes(transport);
    stalledBeats = transport.writableLength > 0 && leftNow === leftBefore ? stalledBeats + 1 : 0;
    leftBefore = leftNow;
    if (stalledBeats > maxBeats) {
      transport.destroy();
      return;
    }
    cancel = clock.schedule(beat, limits.heartbeatIntervalMs);
    onBeat?.();
  };
  let cancel = clock.schedule(beat, limits.heartbeatIntervalMs);
  return () => cancel();
}
