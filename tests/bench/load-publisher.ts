/** A publisher for loads: speaks the ingest protocol over a raw socket and sends payloads that many may share. */
import { hash } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import {
  chainInput,
  CHUNK_HEADER_BYTES,
  CodedError,
  createId,
  encodeChunkHead,
  encodeMessage,
  encodeStartRecord,
  FRAME_HEAD_BYTES,
  INGEST_FROM_PUBLISHER,
  INGEST_FROM_RELAY,
  parseMessage,
  RECORDING_EVENTS,
  RELAY_PROTOCOL_VERSION,
  SHA256_BYTES,
  type Chunk,
  type Id,
  type MessageToPublisher,
} from '@proofcast/shared';
import { TestDevice } from '../../relay/testing/test-device.ts';
import type { TestClient } from '../../relay/testing/test-client.ts';
import { masked, RawWebSocket } from './raw-websocket.ts';

const SLOTS_PER_DEVICE = 16;

/** What is the same for every publisher that sends it. */
export interface SharedPayload {
  readonly kind: Chunk['kind'];
  readonly byteLength: number;
  readonly sha256: Uint8Array;
  readonly masked: Uint8Array;
}

export function sharePayload(kind: Chunk['kind'], bytes: Uint8Array): SharedPayload {
  return { kind, byteLength: bytes.length, sha256: sha256(bytes), masked: masked(bytes) };
}

/** Where a publisher may connect, and as what. */
export interface PublisherSeat {
  readonly deviceId: Id;
  readonly streamId: Id;
  /** For the relay. */
  readonly token: string;
  /** The live path of the same stream. */
  readonly sfu: { readonly url: string; readonly token: string };
}

/** Enrols as many devices as it takes for `count` streams. */
export async function enrolPublishers(admin: TestClient, count: number): Promise<PublisherSeat[]> {
  const seats: PublisherSeat[] = [];
  while (seats.length < count) {
    const device = await TestDevice.enrol(admin, `Desk ${seats.length}`);
    for (let slot = 0; slot < SLOTS_PER_DEVICE && seats.length < count; slot++) {
      const { streamId, ingest, sfu } = await whenAllowed(() => device.publishTokens(admin, { slot }));
      seats.push({ deviceId: device.deviceId, streamId, token: ingest.token, sfu });
    }
  }
  return seats;
}

/** The relay limits how many devices of one address get tokens in a minute; an office that starts up waits. */
async function whenAllowed<T>(attempt: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof CodedError) || error.code !== 'TOO_MANY_REQUESTS') throw error;
      await wait(Number(error.details?.['retryAfterMs'] ?? 1000));
    }
  }
}

export class LoadPublisher {
  readonly recordingId: Id = createId('recording');
  readonly startedAtUs: number;
  readonly #seat: PublisherSeat;
  #socket: RawWebSocket | null = null;
  #chain: Uint8Array;
  #sequence = 0;
  #durable = 0;
  #failure: Error | null = null;
  readonly #waiting = new Set<{
    isOver: () => boolean;
    resolve: () => void;
    reject: (error: Error) => void;
  }>();
  #isWelcome = false;
  #isStopped = false;
  /** Hears of every acknowledgement: how many chunks are durable. */
  onDurable: (durableCount: number) => void = () => {};

  private constructor(seat: PublisherSeat, startedAtUs: number) {
    const { streamId, deviceId } = seat;
    this.#seat = seat;
    this.startedAtUs = startedAtUs;
    this.#chain = sha256(
      encodeStartRecord({ recordingId: this.recordingId, streamId, deviceId, startedAtUs }),
    );
  }

  /** Connects, is welcomed, and begins the first epoch. */
  static async open(
    relayUrl: string,
    seat: PublisherSeat,
    startedAtUs: number = Date.now() * 1000,
  ): Promise<LoadPublisher> {
    const publisher = new LoadPublisher(seat, startedAtUs);
    await publisher.#connect(relayUrl);
    publisher.send(epochStart(startedAtUs), startedAtUs);
    return publisher;
  }

  get streamId(): Id {
    return this.#seat.streamId;
  }

  /** How many chunks were sent. */
  get sentCount(): number {
    return this.#sequence;
  }

  /** Sends the next chunk and returns its number. */
  send(payload: SharedPayload, captureTimeUs: number): number {
    if (this.#failure !== null) throw this.#failure;
    const sequence = this.#sequence++;
    const { kind, byteLength: payloadBytes } = payload;
    const head = encodeChunkHead({ kind, epoch: 0, sequence, captureTimeUs, payloadBytes });
    this.#chain = sha256(chainInput(this.#chain, head, payload.sha256));
    const header = new Uint8Array(CHUNK_HEADER_BYTES);
    header.set(head, 0);
    header.set(payload.sha256, FRAME_HEAD_BYTES);
    header.set(this.#chain, FRAME_HEAD_BYTES + SHA256_BYTES);
    this.#socket!.sendBinary(header, payload.masked);
    return sequence;
  }

  /** Resolves when so many chunks are on the relay's disk. */
  untilDurable(count: number = this.#sequence): Promise<void> {
    return this.#until(() => this.#durable >= count);
  }

  /** Resolves when at most so many of the chunks that were sent are not durable. */
  untilBehindBy(count: number): Promise<void> {
    return this.#until(() => this.#sequence - this.#durable <= count);
  }

  /** Ends the recording; resolves with the relay's answer. */
  async stop(): Promise<void> {
    const data = { chunkCount: this.#sequence };
    this.#socket!.sendText(encodeMessage(INGEST_FROM_PUBLISHER, { type: 'stop', data }));
    await this.#until(() => this.#isStopped);
    this.#socket!.destroy();
  }

  destroy(): void {
    this.#socket?.destroy();
  }

  async #connect(relayUrl: string): Promise<void> {
    this.#socket = await RawWebSocket.open(`${relayUrl}/api/ingest`, {
      headers: { authorization: `Bearer ${this.#seat.token}` },
      events: {
        onText: (text) => this.#onMessage(parseMessage(INGEST_FROM_RELAY, text)),
        onClosed: (reason) => this.#fail(new Error(`The relay closed a publisher: ${reason}`)),
      },
    });
    const hello = {
      protocol: RELAY_PROTOCOL_VERSION,
      recordingId: this.recordingId,
      startedAtUs: this.startedAtUs,
      sentAtUs: Date.now() * 1000,
    };
    this.#socket.sendText(encodeMessage(INGEST_FROM_PUBLISHER, { type: 'hello', data: hello }));
    await this.#until(() => this.#isWelcome);
  }

  #onMessage(message: MessageToPublisher): void {
    switch (message.type) {
      case 'welcome':
        this.#isWelcome = true;
        break;
      case 'ack':
        if (message.data.durable === this.#durable) return;
        this.#durable = message.data.durable;
        this.onDurable(this.#durable);
        break;
      case 'stopped':
        this.#isStopped = true;
        break;
      case 'viewers':
      case 'stills':
        return;
      case 'refused':
        return this.#fail(new Error(`The relay refused: ${message.data.message}`));
    }
    for (const waiting of this.#waiting) {
      if (!waiting.isOver()) continue;
      this.#waiting.delete(waiting);
      waiting.resolve();
    }
  }

  #until(isOver: () => boolean): Promise<void> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    if (isOver()) return Promise.resolve();
    return new Promise((resolve, reject) => this.#waiting.add({ isOver, resolve, reject }));
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const { reject } of this.#waiting) reject(error);
    this.#waiting.clear();
  }
}

function epochStart(startedAtUs: number): SharedPayload {
  const data = {
    mimeType: 'video/webm;codecs=vp8',
    startedAtUs,
    sourceName: 'Entire screen',
    widthPx: 320,
    heightPx: 180,
    hasAudio: false,
  };
  const text = encodeMessage(RECORDING_EVENTS, { type: 'epoch-started', data });
  return sharePayload('event', new TextEncoder().encode(text));
}

function sha256(bytes: Uint8Array): Uint8Array {
  return hash('sha256', bytes, 'buffer');
}
