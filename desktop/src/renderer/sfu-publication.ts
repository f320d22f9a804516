/**
 * One attempt to publish to the SFU: a websocket for signalling, a transport, a producer. It ends with the first error
 * that it cannot mend by itself; the next attempt is the publisher's.
 */
import { CodedError, isErrorCode, RpcClient, SFU_NOTIFICATIONS, SFU_REQUESTS } from '@proofcast/shared';
import { Device } from 'mediasoup-client';
import type { ConnectionState, Producer, Transport } from 'mediasoup-client/types';
import type { SfuAccess } from '../ipc.ts';
import { SFU } from './config.ts';

export interface PublicationListener {
  /** Media flows to the SFU. */
  onLive(): void;
  /** Media does not flow at the moment; the publication tries to mend that. */
  onInterrupted(): void;
  onViewers(viewerCount: number): void;
  /** The publication is over. Called once, and not after `close`. */
  onFailed(error: CodedError): void;
}

type Rpc = RpcClient<typeof SFU_REQUESTS, typeof SFU_NOTIFICATIONS>;

export class SfuPublication {
  readonly #access: SfuAccess;
  readonly #listener: PublicationListener;
  readonly #socket: WebSocket;
  readonly #rpc: Rpc;
  #transport: Transport | undefined;
  #producer: Producer | undefined;
  #track: MediaStreamTrack;
  #deadline: number | undefined;
  #isOver = false;

  /** Connects and publishes `track`, which stays the caller's. */
  constructor(access: SfuAccess, track: MediaStreamTrack, listener: PublicationListener) {
    this.#access = access;
    this.#track = track;
    this.#listener = listener;
    this.#socket = new WebSocket(access.url);
    this.#rpc = new RpcClient({
      requests: SFU_REQUESTS,
      notifications: SFU_NOTIFICATIONS,
      timeoutMs: SFU.requestTimeoutMs,
      send: (text) => this.#socket.send(text),
      onNotification: {
        producerAdded: () => undefined,
        consumerClosed: () => undefined,
        streamClosed: ({ code }) => this.#fail(new CodedError(code, 'The server has closed the stream.')),
        viewers: ({ viewerCount }) => listener.onViewers(viewerCount),
      },
    });
    this.#expectConnection();
    this.#socket.addEventListener('open', () => {
      this.#publish().catch((error: unknown) => this.#fail(toPublicationError(error)));
    });
    this.#socket.addEventListener('message', ({ data }) => this.#receive(data));
    // An error event tells nothing, and a close event follows it.
    this.#socket.addEventListener('close', ({ code, reason }) => this.#fail(errorOfClose(code, reason)));
  }

  /** Prolongs the connection with a newer token. */
  async renew(token: string): Promise<void> {
    await this.#rpc.request('authenticate', { token });
  }

  /** Sends `track` instead; it stays the caller's. */
  replaceTrack(track: MediaStreamTrack): void {
    this.#track = track;
    this.#producer?.replaceTrack({ track }).catch((error: unknown) => this.#fail(toPublicationError(error)));
  }

  /** Ends the publication without a report. Idempotent. */
  close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    window.clearTimeout(this.#deadline);
    this.#rpc.close(new CodedError('SHUTTING_DOWN', 'The publication was closed.'));
    this.#transport?.close();
    this.#socket.close();
  }

  async #publish(): Promise<void> {
    const { token, streamId } = this.#access;
    await this.#rpc.request('authenticate', { token });
    const { routerRtpCapabilities, transport: options } = await this.#rpc.request('publish', { streamId });
    const device = await Device.factory({ handlerName: 'Chrome111' });
    await device.load({ routerRtpCapabilities });
    if (this.#isOver) return;
    const transport = device.createSendTransport(options);
    this.#transport = transport;
    transport.on('connect', ({ dtlsParameters }, callback, errback) => {
      this.#rpc.request('connectTransport', { streamId, dtlsParameters }).then(callback, errback);
    });
    transport.on('produce', ({ kind, rtpParameters }, callback, errback) => {
      const produced = this.#rpc.request('produce', { streamId, kind, rtpParameters });
      produced.then(({ producerId }) => callback({ id: producerId }), errback);
    });
    transport.on('connectionstatechange', (state) => this.#onConnectionState(state));
    const codec = device.sendRtpCapabilities.codecs?.find(
      ({ mimeType }) => mimeType.toLowerCase() === 'video/vp8',
    );
    if (!codec) throw new CodedError('MEDIA_UNSUPPORTED', 'The server does not take VP8.');
    const track = this.#track;
    const producer = await transport.produce({
      track,
      codec,
      encodings: [{ maxBitrate: SFU.maxBitrate }],
      codecOptions: { videoGoogleStartBitrate: SFU.startBitrateKbps },
      stopTracks: false,
    });
    this.#producer = producer;
    if (track !== this.#track) await producer.replaceTrack({ track: this.#track });
    await preferResolution(producer.rtpSender);
  }

  #receive(data: unknown): void {
    try {
      this.#rpc.receive(String(data));
    } catch (error) {
      this.#fail(toPublicationError(error));
    }
  }

  #onConnectionState(state: ConnectionState): void {
    if (this.#isOver) return;
    switch (state) {
      case 'connected':
        window.clearTimeout(this.#deadline);
        return this.#listener.onLive();
      case 'disconnected':
        this.#listener.onInterrupted();
        window.clearTimeout(this.#deadline);
        this.#deadline = window.setTimeout(() => this.#restartIce(), SFU.disconnectedToleranceMs);
        return;
      case 'failed':
        this.#listener.onInterrupted();
        return this.#restartIce();
      case 'new':
      case 'connecting':
      case 'closed':
        return;
    }
  }

  /** Looks for a new way to the SFU with the same transport; when none is found in time, everything is built anew. */
  #restartIce(): void {
    this.#expectConnection();
    const { streamId } = this.#access;
    this.#rpc
      .request('restartIce', { streamId })
      .then(({ iceParameters }) => this.#transport?.restartIce({ iceParameters }))
      .catch((error: unknown) => this.#fail(toPublicationError(error)));
  }

  #expectConnection(): void {
    window.clearTimeout(this.#deadline);
    this.#deadline = window.setTimeout(() => {
      const message = `No connection for media within ${SFU.connectTimeoutMs} ms.`;
      this.#fail(new CodedError('TIMEOUT', message));
    }, SFU.connectTimeoutMs);
  }

  #fail(error: CodedError): void {
    if (this.#isOver) return;
    this.close();
    this.#listener.onFailed(error);
  }
}

/** When the network is narrow, frames become fewer rather than blurred: text must stay readable. */
async function preferResolution(sender: RTCRtpSender | undefined): Promise<void> {
  if (!sender) return;
  await sender.setParameters({ ...sender.getParameters(), degradationPreference: 'maintain-resolution' });
}

function toPublicationError(error: unknown): CodedError {
  if (error instanceof CodedError) return error;
  return new CodedError('INTERNAL', 'Publishing to the live server failed.', { cause: error });
}

/** The SFU closes with `CODE: message`; a network that fails closes with nothing. */
function errorOfClose(closeCode: number, reason: string): CodedError {
  const [code, ...words] = reason.split(': ');
  if (isErrorCode(code)) return new CodedError(code, words.join(': '));
  return new CodedError('UNAVAILABLE', `Cannot reach the live server (${closeCode}).`);
}
