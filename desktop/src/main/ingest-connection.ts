/**
 * One websocket to the relay: says hello for one recording, sends its chunks from the number that the relay asks for,
 * and reports what the relay answers. It ends with the first error; connecting again is the uploader's.
 */
import {
  CodedError,
  encodeMessage,
  encodeStill,
  fromErrorBody,
  INGEST_FROM_PUBLISHER,
  INGEST_FROM_RELAY,
  isErrorCode,
  parseMessage,
  RELAY_PROTOCOL_VERSION,
  type MessageFromPublisher,
  type MessageToPublisher,
} from '@proofcast/shared';
import { WebSocket, type RawData } from 'ws';
import { BacklogReport, type Backlog } from './backlog-report.ts';
import type { UploadLimits } from './config.ts';
import { hasChangedNetwork } from './network-addresses.ts';
import { refusalIn } from './relay-client.ts';
import { SendWindow } from './send-window.ts';
import type { SpooledRecording } from './spooled-recording.ts';

/** Messages of the relay are small; only chunks are large, and those go the other way. */
const MAX_MESSAGE_BYTES = 64 * 1024;

type MessageData<T extends MessageToPublisher['type']> = Extract<MessageToPublisher, { type: T }>['data'];

export interface IngestAddress {
  readonly url: string;
  readonly token: string;
}

export interface IngestListener {
  onWelcome(): void;
  /** The relay has confirmed more chunks. */
  onProgress(): void;
  onViewers(viewerCount: number): void;
  /** How often the relay wants a still picture; null when it wants none. */
  onStills(intervalMs: number | null): void;
  /** The relay has everything; the connection is closed. */
  onStopped(): void;
  /** The connection is over, and `onStopped` was not called. Called once, and not after `close`. */
  onFailed(error: CodedError): void;
}

/** How much may be sent at the moment: all that the window takes, one chunk at a time, or nothing. */
export type Pace = 'window' | 'single' | 'none';

export class IngestConnection {
  readonly #recording: SpooledRecording;
  readonly #limits: UploadLimits;
  readonly #pace: () => Pace;
  readonly #listener: IngestListener;
  readonly #socket: WebSocket;
  readonly #unsubscribe: () => void;
  readonly #pings: NodeJS.Timeout;
  readonly #addressCheck: NodeJS.Timeout;
  readonly #report: BacklogReport;
  #deadline: NodeJS.Timeout;
  #state: 'connecting' | 'open' | 'over' = 'connecting';
  #isPumping = false;
  #isStopSent = false;
  #window = new SendWindow(0, 0);
  #silentPings = 0;
  #bufferedBytes = 0;
  /** Of this end of the connection. */
  #localAddress: string | undefined;
  #refused = { sequence: -1, times: 0, expectedEchoes: 0 };

  /** `backlog` is what this connection reports to the relay. After `pace` has changed, call `pump`. */
  constructor(options: {
    address: IngestAddress;
    recording: SpooledRecording;
    limits: UploadLimits;
    pace: () => Pace;
    backlog: () => Backlog;
    listener: IngestListener;
  }) {
    const { address, recording, limits, pace, backlog, listener } = options;
    this.#recording = recording;
    this.#limits = limits;
    this.#pace = pace;
    this.#listener = listener;
    this.#socket = new WebSocket(address.url, {
      headers: { authorization: `Bearer ${address.token}` },
      perMessageDeflate: false,
      followRedirects: false,
      maxPayload: MAX_MESSAGE_BYTES,
    });
    this.#listenTo(this.#socket);
    this.#deadline = this.#startDeadline(limits.connectTimeoutMs, 'did not welcome the recording');
    this.#pings = setInterval(() => this.#ping(), limits.pingIntervalMs);
    this.#addressCheck = setInterval(() => this.#checkAddress(), limits.addressCheckMs);
    this.#unsubscribe = recording.subscribe(() => this.pump());
    this.#report = new BacklogReport({
      read: backlog,
      send: ({ bytes, chunks }) => this.#sendStatus(bytes, chunks),
      intervalMs: limits.statusIntervalMs,
    });
  }

  /** Whether the relay still owes an answer, or something is there that it has not been sent. */
  get isBusy(): boolean {
    if (this.#state !== 'open') return this.#state === 'connecting';
    return this.#window.count > 0 || this.#isStopSent || this.#window.next < this.#recording.appendedCount;
  }

  /** Sends what may be sent now. */
  pump(): void {
    void this.#pump();
  }

  /** Sends a still picture, unless it would keep chunks waiting. It is not numbered, kept or repeated. */
  sendStill(jpeg: Uint8Array, captureTimeUs: number): void {
    if (this.#state !== 'open' || this.#socket.bufferedAmount > this.#limits.maxBytesBeforeStill) return;
    this.#socket.send(encodeStill({ captureTimeUs, payload: jpeg }));
  }

  /** Ends the connection without a report. Idempotent. */
  close(): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    this.#unsubscribe();
    this.#report.close();
    clearInterval(this.#pings);
    clearInterval(this.#addressCheck);
    clearTimeout(this.#deadline);
    this.#socket.terminate();
  }

  #listenTo(socket: WebSocket): void {
    socket.on('upgrade', ({ socket: { localAddress } }) => {
      this.#localAddress = localAddress;
    });
    socket.on('open', () => this.#sayHello());
    socket.on('message', (data, isBinary) => this.#receive(data, isBinary));
    socket.on('pong', () => {
      this.#silentPings = 0;
    });
    socket.on('close', (code, reason) => this.#fail(errorOfClose(code, reason.toString())));
    socket.on('error', (cause) => this.#fail(unavailable('Lost the connection to the server.', cause)));
    socket.on('unexpected-response', (_request, response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (text: string) => {
        if (body.length < MAX_MESSAGE_BYTES) body += text;
      });
      response.on('error', (cause) => this.#fail(unavailable('Lost the connection to the server.', cause)));
      response.on('end', () => {
        this.#fail(refusalIn(body, `The server answered with status ${response.statusCode ?? 0}`));
      });
    });
  }

  #sayHello(): void {
    const { recordingId, startedAtUs } = this.#recording.start;
    const { isCapturing } = this.#recording;
    const sentAtUs = Date.now() * 1000;
    this.#send({
      type: 'hello',
      data: { protocol: RELAY_PROTOCOL_VERSION, recordingId, startedAtUs, sentAtUs, isCapturing },
    });
  }

  #receive(data: RawData, isBinary: boolean): void {
    if (this.#state === 'over') return;
    this.#silentPings = 0;
    try {
      if (isBinary) throw violation('it sent a binary frame to a publisher');
      // The default binary type of ws gives a Buffer for every message.
      this.#handle(parseMessage(INGEST_FROM_RELAY, (data as Buffer).toString()));
    } catch (error) {
      // Text that is no message is the server's fault, and no reason to give the recording up.
      const isOurs = error instanceof CodedError && error.code !== 'MESSAGE_INVALID';
      this.#fail(isOurs ? error : violation(String(error), error));
    }
  }

  #handle(message: MessageToPublisher): void {
    const isExpected =
      this.#state === 'connecting'
        ? message.type === 'welcome' || message.type === 'refused'
        : message.type !== 'welcome';
    if (!isExpected) throw violation(`it sent ${message.type} when that makes no sense`);
    switch (message.type) {
      case 'welcome':
        return this.#onWelcome(message.data);
      case 'ack':
        return this.#onAck(message.data);
      case 'refused':
        return this.#onRefused(message.data);
      case 'viewers':
        return this.#listener.onViewers(message.data.viewerCount);
      case 'stills':
        return this.#listener.onStills(message.data.intervalMs);
      case 'stopped':
        return this.#onStopped(message.data);
    }
  }

  #onWelcome(welcome: MessageData<'welcome'>): void {
    const { nextSequence, windowBytes, viewerCount, maxChunks, maxEpochs, maxEvents } = welcome;
    const { durableCount, appendedCount } = this.#recording;
    if (nextSequence < durableCount || nextSequence > appendedCount) {
      throw new CodedError(
        'RECORDING_NOT_FOUND',
        `The server asks for chunk ${nextSequence}; this device keeps ${durableCount} to ${appendedCount - 1}.`,
      );
    }
    this.#recording.setLimits({ maxChunks, maxEpochs, maxEvents });
    this.#state = 'open';
    this.#window = new SendWindow(Math.min(windowBytes, this.#limits.maxInFlightBytes), nextSequence);
    clearTimeout(this.#deadline);
    this.#listener.onViewers(viewerCount);
    this.#listener.onWelcome();
    void this.#pump();
  }

  #onAck({ received, durable }: MessageData<'ack'>): void {
    if (durable > received || received > this.#window.next) {
      throw violation(`it counts ${received} chunks where ${this.#window.next} were sent`);
    }
    const isMoreReceived = this.#window.onReceived(received);
    const isProgress = isMoreReceived || durable > this.#recording.durableCount;
    this.#recording.acknowledge(durable);
    if (!isProgress) return;
    this.#watchProgress();
    this.#report.onChanged();
    this.#listener.onProgress();
    void this.#pump();
  }

  #onStopped({ chunkCount }: MessageData<'stopped'>): void {
    // What is kept here will be deleted: the relay must mean the recording as it is, and after it was asked.
    if (!this.#isStopSent || chunkCount !== this.#recording.chunkCount) {
      throw violation(`it stopped after ${chunkCount} chunks, and was not asked to`);
    }
    this.#recording.acknowledge(chunkCount);
    this.close();
    this.#listener.onStopped();
  }

  #onRefused(refusal: MessageData<'refused'>): void {
    const error = fromErrorBody(refusal);
    const isAboutChunks = error.code === 'CHUNK_SEQUENCE_GAP' || error.code === 'CHUNK_HASH_MISMATCH';
    if (this.#state === 'connecting' || !isAboutChunks) return this.#fail(error);
    this.#sendAgainFrom(refusal.expectedSequence, error);
  }

  /**
   * Everything that was sent behind a refused chunk is refused too, as a gap. Those echoes come before any answer to
   * what is sent now, and are counted, so that one refusal leads to one repetition.
   */
  #sendAgainFrom(sequence: number, error: CodedError): void {
    const isEcho = error.code === 'CHUNK_SEQUENCE_GAP' && this.#refused.sequence === sequence;
    if (isEcho && this.#refused.expectedEchoes > 0) {
      this.#refused.expectedEchoes -= 1;
      return;
    }
    const times = this.#refused.sequence === sequence ? this.#refused.times + 1 : 1;
    const isKept = sequence >= this.#recording.durableCount && sequence < this.#window.next;
    if (!isKept || times > this.#limits.maxRefusalsOfOneChunk) {
      const message = `The server refuses chunk ${sequence} again and again: ${error.message}`;
      throw new CodedError('SPOOL_FAILED', message, { cause: error });
    }
    const expectedEchoes = this.#window.next - 1 - sequence + (this.#isStopSent ? 1 : 0);
    this.#refused = { sequence, times, expectedEchoes };
    this.#window.rewind(sequence);
    this.#isStopSent = false;
    void this.#pump();
  }

  /** Sends what may be sent now: chunks while the window has room, and `stop` behind the last one. Never rejects. */
  async #pump(): Promise<void> {
    if (this.#isPumping) return;
    this.#isPumping = true;
    try {
      while (this.#state === 'open' && (await this.#sendNext()));
    } catch (error) {
      this.#fail(error instanceof CodedError ? error : unavailable('Cannot send a chunk.', error));
    }
    this.#isPumping = false;
  }

  /** Whether something was sent. */
  async #sendNext(): Promise<boolean> {
    const recording = this.#recording;
    const sequence = this.#window.next;
    if (sequence === recording.chunkCount) {
      if (this.#isStopSent) return false;
      this.#isStopSent = true;
      this.#watchProgress();
      this.#send({ type: 'stop', data: { chunkCount: recording.chunkCount } });
      return false;
    }
    const bytes = recording.payloadBytes(sequence);
    if (sequence >= recording.appendedCount || !this.#maySend(bytes)) return false;
    const frame = await recording.readFrame(sequence);
    // While the disk was read, the connection may have ended or the relay may have asked for another chunk.
    if (this.#state !== 'open' || sequence !== this.#window.next) return true;
    this.#window.onSent(bytes);
    if (this.#window.count === 1) this.#watchProgress();
    this.#socket.send(frame);
    return true;
  }

  #maySend(bytes: number): boolean {
    switch (this.#pace()) {
      case 'none':
        return false;
      case 'single':
        return this.#window.count === 0;
      case 'window':
        return this.#window.hasRoomFor(bytes);
    }
  }

  #sendStatus(backlogBytes: number, backlogChunks: number): void {
    if (this.#state === 'open') this.#send({ type: 'status', data: { backlogBytes, backlogChunks } });
  }

  /** As long as the relay owes an answer, it must not be silent for too long. */
  #watchProgress(): void {
    clearTimeout(this.#deadline);
    if (this.#window.count === 0 && !this.#isStopSent) return;
    this.#deadline = this.#startDeadline(this.#limits.ackTimeoutMs, 'did not confirm what was sent');
  }

  #startDeadline(timeoutMs: number, what: string): NodeJS.Timeout {
    return setTimeout(() => {
      this.#fail(new CodedError('TIMEOUT', `The server ${what} within ${timeoutMs} ms.`));
    }, timeoutMs);
  }

  /** A connection from an address that is gone is dead, and nothing would tell of it for half a minute. */
  #checkAddress(): void {
    if (this.#localAddress === undefined || !hasChangedNetwork(this.#localAddress)) return;
    this.#fail(unavailable('This device has changed its network.'));
  }

  #ping(): void {
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    // On a slow network the answer to a ping waits for all that was sent before; as long as that moves, all is well.
    const isMoving = this.#socket.bufferedAmount < this.#bufferedBytes;
    this.#bufferedBytes = this.#socket.bufferedAmount;
    this.#silentPings = isMoving ? 0 : this.#silentPings + 1;
    if (this.#silentPings > this.#limits.maxSilentPings) {
      return this.#fail(new CodedError('TIMEOUT', 'The server does not answer any more.'));
    }
    this.#socket.ping();
  }

  #send(message: MessageFromPublisher): void {
    this.#socket.send(encodeMessage(INGEST_FROM_PUBLISHER, message));
  }

  #fail(error: CodedError): void {
    if (this.#state === 'over') return;
    this.close();
    this.#listener.onFailed(error);
  }
}

/** The relay closes with `CODE: message`; a network that fails closes with nothing. */
function errorOfClose(closeCode: number, reason: string): CodedError {
  const [code, ...words] = reason.split(': ');
  if (isErrorCode(code)) return new CodedError(code, words.join(': '));
  return unavailable(`The connection to the server was closed (${closeCode}).`);
}

/** The relay breaks the protocol. Another one, or the same one later, may keep to it. */
function violation(what: string, cause?: unknown): CodedError {
  return new CodedError('INTERNAL', `The server does not keep to the protocol: ${what}.`, { cause });
}

function unavailable(message: string, cause?: unknown): CodedError {
  return new CodedError('UNAVAILABLE', message, { cause });
}
