import {
  decodeViewerFrame,
  encodeMessage,
  VIEW_FROM_RELAY,
  VIEW_FROM_VIEWER,
  type Id,
  type MessageFromViewer,
  type StreamState,
  type StreamView,
  type ViewerFrame,
} from '@proofcast/shared';
import type { WebSocket } from 'ws';
import { MessageSocket } from './message-socket.ts';

/** A viewer that does only what a test tells it. */
export class TestViewer extends MessageSocket<typeof VIEW_FROM_RELAY> {
  constructor(socket: WebSocket) {
    super(socket, VIEW_FROM_RELAY);
  }

  say(message: MessageFromViewer): void {
    this.socket.send(encodeMessage(VIEW_FROM_VIEWER, message));
  }

  watch(channel: number, streamId: Id, rewind: { fromUs?: number; untilUs?: number } = {}): void {
    this.say({ type: 'watch', data: { channel, streamId, ...rewind } });
  }

  async nextFrame(): Promise<ViewerFrame> {
    return decodeViewerFrame(await this.nextBinary());
  }

  /** The frames of media up to chunk `sequence`. */
  async framesUntil(sequence: number): Promise<ViewerFrame[]> {
    const frames: ViewerFrame[] = [];
    do frames.push(await this.nextFrame());
    while (frames.at(-1)?.kind !== 'media' || (frames.at(-1)?.sequence ?? 0) < sequence);
    return frames;
  }

  /** The next word about the stream that says this state. */
  async untilState(streamId: Id, kind: StreamState['kind']): Promise<StreamView> {
    const message = await this.take(
      (received) =>
        'type' in received &&
        received.type === 'streamChanged' &&
        received.data.streamId === streamId &&
        received.data.state.kind === kind,
    );
    return (message as { data: StreamView }).data;
  }
}
