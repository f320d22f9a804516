import {
  parseMessage,
  VIEW_FROM_RELAY,
  ViewerFrameStream,
  type MessageToViewer,
  type ViewerFrame,
} from '@proofcast/shared';

type Received = MessageToViewer | ViewerFrame;

/** Reads the body of `streamLive` as a player does: frames, and what its control frames say. */
export class TestHttpViewer {
  readonly response: Response;
  readonly received: Received[] = [];
  /** How many control frames without a message came. */
  beats = 0;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #stream = new ViewerFrameStream();

  constructor(response: Response) {
    if (response.body === null) throw new Error('The response has no body.');
    this.response = response;
    this.#reader = response.body.getReader() as ReadableStreamDefaultReader<Uint8Array>;
  }

  get frames(): ViewerFrame[] {
    return this.received.filter((received): received is ViewerFrame => 'payload' in received);
  }

  get messages(): MessageToViewer[] {
    return this.received.filter((received): received is MessageToViewer => 'type' in received);
  }

  /** Reads on until something of what has come is what `wants` asks for. Rejects when the body ends before. */
  async until(wants: (received: Received) => boolean): Promise<void> {
    while (!this.received.some(wants)) {
      if (!(await this.#readOn())) throw new Error('The body ended before it came.');
    }
  }

  async untilSequence(sequence: number): Promise<void> {
    await this.until(
      (received) => 'payload' in received && received.kind === 'media' && received.sequence === sequence,
    );
  }

  /** Reads to the end; throws when that cuts a frame in two. */
  async untilEnd(): Promise<void> {
    while (await this.#readOn());
    if (!this.#stream.isAtBorder) throw new Error('The body ends within a frame.');
  }

  async untilBeat(): Promise<void> {
    const before = this.beats;
    while (this.beats === before)
      if (!(await this.#readOn())) throw new Error('The body ended before it came.');
  }

  /** Hangs up. */
  async leave(): Promise<void> {
    await this.#reader.cancel();
  }

  async #readOn(): Promise<boolean> {
    const { done, value } = await this.#reader.read();
    if (done) return false;
    for (const frame of this.#stream.push(value)) this.#take(frame);
    return true;
  }

  #take(frame: ViewerFrame): void {
    if (frame.kind !== 'control') this.received.push(frame);
    else if (frame.payload.length === 0) this.beats += 1;
    else this.received.push(parseMessage(VIEW_FROM_RELAY, new TextDecoder().decode(frame.payload)));
  }
}
