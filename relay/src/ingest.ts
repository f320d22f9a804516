/**
 * The publisher's side of the relay: one websocket that uploads one recording. Owns the conversation (hello, chunks,
 * acknowledgements, refusals, stop); what a chunk means is the recording's. Rules I2–I16 in docs/protocol.md.
 */
import type { Logger } from 'pino';
import type { RawData, WebSocket } from 'ws';
import {
  CodedError,
  copyBytes,
  decodeChunk,
  decodeStill,
  encodeMessage,
  INGEST_FROM_PUBLISHER,
  INGEST_FROM_RELAY,
  isStillFrame,
  MAX_CHUNK_PAYLOAD_BYTES,
  parseMessage,
  RELAY_PROTOCOL_VERSION,
  toCloseReason,
  toCodedError,
  type DevicePrincipal,
  type MessageFromPublisher,
  type MessageToPublisher,
} from '@proofcast/shared';
import { checkProof } from './chunk-proof.ts';
import { keepAlive } from './heartbeat.ts';
import type { LiveRecording, Publisher } from './live-recording.ts';
import type { LiveStream } from './live-stream.ts';
import type { LiveStreams } from './live-streams.ts';
import type { MediaClock } from './media-clock.ts';
import type { MediaLimits } from './media-limits.ts';
import type { MediaCounts } from './metrics/media-counts.ts';
import { MAX_EPOCHS, MAX_EVENTS } from './recording/recording-index.ts';

/** Control messages are a few hundred bytes. */
const MAX_TEXT_BYTES = 16 * 1024;
/** What a publisher is told at once that it has been received, so that it never waits for its window. */
const AT_ONCE_SHARE = 1 / 8;
/** RFC 6455, 7.4.1. */
const NORMAL_CLOSURE = 1000;

export interface IngestOptions {
  readonly socket: WebSocket;
  readonly device: DevicePrincipal;
  readonly streams: LiveStreams;
  readonly clock: MediaClock;
  readonly limits: MediaLimits;
  readonly counts: MediaCounts;
  readonly log: Logger;
  readonly onClosed: () => void;
}

type State =
  | { readonly kind: 'awaiting-hello'; readonly cancelTimeout: () => void }
  /** Something takes time; what arrives meanwhile waits in the inbox. */
  | { readonly kind: 'busy'; readonly recording: LiveRecording | null }
  | { readonly kind: 'publishing'; readonly stream: LiveStream; readonly recording: LiveRecording }
  | { readonly kind: 'closed' };

/** The newest `status` of a publisher. */
export type Backlog = Extract<MessageFromPublisher, { type: 'status' }>['data'];

interface Incoming {
  readonly data: Buffer;
  readonly isBinary: boolean;
}

export class IngestConnection implements Publisher {
  readonly #options: IngestOptions;
  readonly #socket: WebSocket;
  readonly #stopHeartbeat: () => void;
  #state: State;
  readonly #inbox: Incoming[] = [];
  #consecutiveRefusals = 0;
  #isAckScheduled = false;
  /** Bytes that were received since the newest acknowledgement. */
  #untoldBytes = 0;
  #cancelLateAck: (() => void) | null = null;
  #backlog: Backlog | null = null;

  /** Must be called in the handler of the upgrade itself, or the first message is lost. */
  constructor(options: IngestOptions) {
    const { socket, clock, limits } = options;
    this.#options = options;
    this.#socket = socket;
    const cancelTimeout = clock.schedule(
      () => this.close(new CodedError('TIMEOUT', `No hello within ${limits.helloTimeoutMs} ms.`)),
      limits.helloTimeoutMs,
    );
    this.#state = { kind: 'awaiting-hello', cancelTimeout };
    this.#stopHeartbeat = keepAlive(socket, clock, limits);
    socket.on('message', (data, isBinary) => this.#receive({ data: toBuffer(data), isBinary }));
    socket.on('error', (error) =>
      options.log.info({ ...this.#ids, err: error }, 'a publisher socket failed'),
    );
    socket.on('close', () => this.#onSocketClosed());
  }

  get device(): DevicePrincipal {
    return this.#options.device;
  }

  /** Nobody has said yet which recording it is for. */
  get isAwaitingHello(): boolean {
    return this.#state.kind === 'awaiting-hello';
  }

  get isClosed(): boolean {
    return this.#state.kind === 'closed';
  }

  /** What the publisher keeps on its own disk, by its own word; null while it has said nothing. */
  get backlog(): Backlog | null {
    return this.#backlog;
  }

  onDurable(): void {
    this.#acknowledge();
    if (this.#state.kind === 'publishing') this.#resumeReading(this.#state.recording);
  }

  onViewers(viewerCount: number): void {
    // Before that, `welcome` will tell it.
    if (this.#state.kind === 'publishing') this.#send({ type: 'viewers', data: { viewerCount } });
  }

  onStills(intervalMs: number | null): void {
    // Before that, `#welcome` will tell it.
    if (this.#state.kind === 'publishing') this.#send({ type: 'stills', data: { intervalMs } });
  }

  /** Ends the connection with a coded reason. Idempotent. */
  close(error: CodedError): void {
    if (this.#state.kind === 'closed') return;
    this.#leave();
    this.#socket.close(error.closeCode, toCloseReason(error));
  }

  #receive(incoming: Incoming): void {
    if (this.#state.kind === 'closed') return;
    if (this.#state.kind === 'busy') {
      this.#inbox.push(incoming);
      this.#socket.pause();
      return;
    }
    try {
      if (incoming.isBinary) this.#onFrame(incoming.data);
      else this.#onText(incoming.data);
    } catch (error) {
      this.#refuse(error);
    }
  }

  /** Takes up what came while something else was being done. */
  #continue(state: State): void {
    this.#state = state;
    while (this.#inbox.length > 0 && this.#isListening) this.#receive(this.#inbox.shift() as Incoming);
    if (this.#isListening && this.#socket.isPaused) this.#socket.resume();
  }

  get #isListening(): boolean {
    return this.#state.kind !== 'busy' && this.#state.kind !== 'closed';
  }

  #onText(data: Buffer): void {
    if (data.length > MAX_TEXT_BYTES) {
      throw new CodedError('MESSAGE_TOO_LARGE', `A message has at most ${MAX_TEXT_BYTES} bytes.`);
    }
    const message = parseMessage(INGEST_FROM_PUBLISHER, data.toString('utf8'));
    switch (message.type) {
      case 'hello':
        return this.#onHello(message.data);
      case 'stop':
        return this.#onStop(message.data.chunkCount);
      case 'status':
        return this.#onStatus(message.data);
    }
  }

  #onHello(hello: (MessageFromPublisher & { type: 'hello' })['data']): void {
    if (this.#state.kind !== 'awaiting-hello')
      throw unexpected('hello', 'a recording is being uploaded already');
    if (hello.protocol !== RELAY_PROTOCOL_VERSION) {
      const error = new CodedError(
        'PROTOCOL_UNSUPPORTED',
        `The relay speaks version ${RELAY_PROTOCOL_VERSION} of the protocol, not ${hello.protocol}.`,
        { details: { supported: RELAY_PROTOCOL_VERSION } },
      );
      return this.#turnAway(error);
    }
    this.#state.cancelTimeout();
    this.#state = { kind: 'busy', recording: null };
    const { streams, device, clock } = this.#options;
    const { recordingId, startedAtUs, isCapturing = true } = hello;
    const publisherClockOffsetUs = clock.nowMs() * 1000 - hello.sentAtUs;
    streams
      .open({ device, recordingId, startedAtUs, isCapturing, publisherClockOffsetUs, publisher: this })
      .then(({ stream, recording }) => this.#welcome(stream, recording))
      .catch((error: unknown) => this.#turnAway(error));
  }

  #welcome(stream: LiveStream, recording: LiveRecording): void {
    if (this.#state.kind === 'closed') return recording.detach(this);
    const { limits, clock, log } = this.#options;
    const { recordingId } = recording.identity;
    log.info({ ...this.#ids, recordingId, nextSequence: recording.nextSequence }, 'a publisher is welcome');
    this.#send({
      type: 'welcome',
      data: {
        recordingId,
        nextSequence: recording.nextSequence,
        epoch: recording.epoch?.number ?? null,
        maxPayloadBytes: MAX_CHUNK_PAYLOAD_BYTES,
        windowBytes: limits.windowBytes,
        maxChunks: limits.maxChunksPerRecording,
        maxEpochs: MAX_EPOCHS,
        maxEvents: MAX_EVENTS,
        viewerCount: recording.viewerCount,
        sentAtUs: clock.nowMs() * 1000,
      },
    });
    const intervalMs = stream.stillIntervalMs(recording);
    if (intervalMs !== null) this.#send({ type: 'stills', data: { intervalMs } });
    this.#continue({ kind: 'publishing', stream, recording });
    this.#acknowledge();
  }

  #onFrame(frame: Buffer): void {
    if (this.#state.kind !== 'publishing') throw unexpected('a chunk', 'hello comes first');
    const { stream, recording } = this.#state;
    const { counts } = this.#options;
    if (isStillFrame(frame)) return stream.takeStill(recording, decodeStill(frame));
    const chunk = decodeChunk(frame);
    counts.receivedChunks += 1;
    counts.receivedBytes += frame.length;
    const expectedSequence = recording.nextSequence;
    if (chunk.sequence > expectedSequence) {
      throw new CodedError(
        'CHUNK_SEQUENCE_GAP',
        `Cannot accept chunk ${chunk.sequence}: expected ${expectedSequence}.`,
        { details: { expected: expectedSequence } },
      );
    }
    if (chunk.sequence === expectedSequence) {
      checkProof(chunk, recording.chain);
      // The bytes of the signature stand before the payload; with a copy of them, their place is free.
      const { signature } = chunk;
      recording.accept(
        { ...chunk, signature: copyBytes(signature) },
        this.#options.clock.nowMs() * 1000,
        signature,
      );
      this.#consecutiveRefusals = 0;
      if (recording.undurableBytes > this.#options.limits.maxUndurableBytes) this.#socket.pause();
      return this.#acknowledgeSoon(frame.length);
    }
    this.#acknowledge();
  }

  #onStop(chunkCount: number): void {
    if (this.#state.kind !== 'publishing') throw unexpected('stop', 'hello comes first');
    const { stream, recording } = this.#state;
    if (chunkCount !== recording.nextSequence) {
      throw new CodedError(
        'CHUNK_SEQUENCE_GAP',
        `Cannot stop after ${chunkCount} chunks: the relay has ${recording.nextSequence}.`,
        { details: { expected: recording.nextSequence } },
      );
    }
    this.#state = { kind: 'busy', recording };
    const farewell = new CodedError('STREAM_OFFLINE', 'The publisher stopped sharing.');
    stream
      .end(recording, 'stopped', farewell)
      .then(() => this.#farewell(recording, chunkCount))
      .catch((error: unknown) => this.#turnAway(error));
  }

  #onStatus(backlog: Backlog): void {
    if (this.#state.kind !== 'publishing') throw unexpected('status', 'hello comes first');
    this.#backlog = backlog;
  }

  #farewell({ identity: { recordingId } }: LiveRecording, chunkCount: number): void {
    this.#send({ type: 'ack', data: { received: chunkCount, durable: chunkCount } });
    this.#send({ type: 'stopped', data: { recordingId, chunkCount } });
    this.#options.log.info({ ...this.#ids, recordingId, chunkCount }, 'a publisher stopped');
    this.#leave();
    this.#socket.close(NORMAL_CLOSURE, 'stopped');
  }

  /** With the word that the chunk is durable, which usually follows soon; at once when much has come. */
  #acknowledgeSoon(byteLength: number): void {
    const { clock, limits } = this.#options;
    this.#untoldBytes += byteLength;
    if (this.#untoldBytes >= limits.windowBytes * AT_ONCE_SHARE) return this.#acknowledge();
    this.#cancelLateAck ??= clock.schedule(() => this.#acknowledge(), limits.maxAckDelayMs);
  }

  /** One acknowledgement for all that happens in one turn of the event loop. */
  #acknowledge(): void {
    if (this.#isAckScheduled) return;
    this.#isAckScheduled = true;
    setImmediate(() => {
      this.#isAckScheduled = false;
      this.#untoldBytes = 0;
      this.#cancelLateAck?.();
      this.#cancelLateAck = null;
      if (this.#state.kind !== 'publishing') return;
      const { nextSequence, durableCount } = this.#state.recording;
      this.#send({ type: 'ack', data: { received: nextSequence, durable: durableCount } });
    });
  }

  #resumeReading({ undurableBytes }: LiveRecording): void {
    if (this.#socket.isPaused && undurableBytes <= this.#options.limits.maxUndurableBytes / 2) {
      this.#socket.resume();
    }
  }

  /** Tells what was not accepted; the connection goes on, unless nothing else ever comes. */
  #refuse(error: unknown): void {
    const coded = this.#toTold(error);
    this.#options.log.debug({ ...this.#ids, code: coded.code, reason: coded.message }, 'refused a publisher');
    this.#consecutiveRefusals += 1;
    this.#sendRefusal(coded);
    if (
      coded.code === 'STORAGE_FAILED' ||
      this.#consecutiveRefusals >= this.#options.limits.maxConsecutiveRefusals
    ) {
      this.close(coded);
    }
  }

  /** Tells why the conversation cannot go on, and ends it. */
  #turnAway(error: unknown): void {
    if (this.#state.kind === 'closed') return;
    const coded = this.#toTold(error);
    this.#options.log.info(
      { ...this.#ids, code: coded.code, reason: coded.message },
      'a publisher was turned away',
    );
    this.#sendRefusal(coded);
    this.close(coded);
  }

  #sendRefusal(error: CodedError): void {
    this.#options.counts.refuse(error.code);
    const expectedSequence = this.#recording?.nextSequence ?? 0;
    this.#send({ type: 'refused', data: { ...error.toBody(), expectedSequence } });
  }

  #toTold(error: unknown): CodedError {
    if (!(error instanceof CodedError)) {
      this.#options.log.error({ ...this.#ids, err: error }, 'cannot serve a publisher');
    }
    return toCodedError(error);
  }

  #onSocketClosed(): void {
    if (this.#state.kind !== 'closed') this.#leave();
    this.#options.onClosed();
  }

  /** From here on nothing is taken; the recording waits for another connection. */
  #leave(): void {
    if (this.#state.kind === 'awaiting-hello') this.#state.cancelTimeout();
    const recording = this.#recording;
    this.#state = { kind: 'closed' };
    this.#inbox.length = 0;
    this.#stopHeartbeat();
    this.#cancelLateAck?.();
    recording?.detach(this);
    // A paused socket would never see the answer to its close frame.
    if (this.#socket.isPaused) this.#socket.resume();
  }

  get #recording(): LiveRecording | null {
    return this.#state.kind === 'busy' || this.#state.kind === 'publishing' ? this.#state.recording : null;
  }

  get #ids(): { deviceId: string; streamId: string } {
    const { deviceId, streamId } = this.#options.device;
    return { deviceId, streamId };
  }

  #send(message: MessageToPublisher): void {
    if (this.#socket.readyState !== this.#socket.OPEN) return;
    this.#socket.send(encodeMessage(INGEST_FROM_RELAY, message));
  }
}

function unexpected(what: string, because: string): CodedError {
  return new CodedError('MESSAGE_UNEXPECTED', `Cannot accept ${what}: ${because}.`);
}

/** The default binary type of ws gives a Buffer for every message. */
function toBuffer(data: RawData): Buffer {
  if (Buffer.isBuffer(data)) return data;
  return Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data);
}
