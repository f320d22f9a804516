/**
 * The media side of the page's connection to the SFU: one device, and one receiving transport for each worker of the
 * SFU that has some of the streams. All streams of the page share them; a transport stays for the next stream.
 */
import {
  CodedError,
  toCodedError,
  type Id,
  type Schedule,
  type TransportOptions,
  type ViewPreference,
} from '@proofcast/shared';
import type { Device, Transport } from 'mediasoup-client/types';
import { SFU_REPORT_MS, WEBRTC_DISCONNECT_GRACE_MS } from '../config.ts';
import { ReceivedStream, type ReceivedListener } from './received-stream.ts';
import { SfuConnection, type SfuConnectionOptions, type SfuSession } from './sfu-connection.ts';

const nothing = (): void => undefined;

interface Receiving {
  readonly session: SfuSession;
  readonly transport: Transport;
  readonly streams: Set<ReceivedStream>;
  cancelGrace: () => void;
}

export type SfuReceiverOptions = Omit<SfuConnectionOptions, 'onTransportClosed' | 'onSessionEnded'>;

export class SfuReceiver {
  readonly connection: SfuConnection;
  readonly schedule: Schedule;
  readonly #devices = new WeakMap<SfuSession, Promise<Device>>();
  readonly #receiving = new Map<string, Receiving>();
  #cancelReport = nothing;
  #isClosed = false;

  constructor(options: SfuReceiverOptions) {
    this.schedule = options.schedule;
    this.connection = new SfuConnection({
      ...options,
      onTransportClosed: (transportId) => {
        const message = 'The SFU has closed the connection for media.';
        this.#end(transportId, new CodedError('TRANSPORT_NOT_FOUND', message));
      },
      onSessionEnded: (error) => {
        for (const transportId of this.#receiving.keys()) this.#end(transportId, error);
      },
    });
  }

  /** Connects in advance, so that the first picture does not have to wait for it. */
  warmUp(): void {
    // Whoever asks next hears the reason.
    this.connection
      .session()
      .then((session) => this.deviceOf(session))
      .catch(nothing);
  }

  /** Receives one stream until it is closed, or `listener` hears of its end. One at a time for each stream. */
  receive(streamId: Id, listener: ReceivedListener, preference: ViewPreference): ReceivedStream {
    if (this.#cancelReport === nothing) this.#reportLater();
    return new ReceivedStream({ receiver: this, streamId, listener, preference });
  }

  deviceOf(session: SfuSession): Promise<Device> {
    const known = this.#devices.get(session);
    if (known) return known;
    const loading = loadDevice(session);
    this.#devices.set(session, loading);
    return loading;
  }

  /** The transport that the SFU has named; `stream` hears of its end until it is released. */
  async transportOf(
    session: SfuSession,
    { options, stream }: { options: TransportOptions; stream: ReceivedStream },
  ): Promise<Transport> {
    const device = await this.deviceOf(session);
    let receiving = this.#receiving.get(options.id);
    if (!receiving) {
      const transport = device.createRecvTransport({ ...options, iceServers: [...session.iceServers] });
      receiving = { session, transport, streams: new Set(), cancelGrace: nothing };
      this.#receiving.set(options.id, receiving);
      this.#watch(receiving);
    }
    receiving.streams.add(stream);
    return receiving.transport;
  }

  /**
   * Passes the answer to a request on. When none comes in time, and nothing else either, the session is dead, although
   * nobody is told: the device has another network, and its websocket is of the one before. Media may go on for a while,
   * until the SFU gives up a viewer whom it does not hear.
   */
  watchOver<T>(session: SfuSession, answer: Promise<T>): Promise<T> {
    const heardBefore = session.heardCount();
    answer.catch((cause: unknown) => {
      const error = toCodedError(cause);
      if (error.code !== 'TIMEOUT' || session.heardCount() > heardBefore) return;
      this.connection.drop(session, error);
    });
    return answer;
  }

  release(stream: ReceivedStream): void {
    for (const { streams } of this.#receiving.values()) streams.delete(stream);
  }

  /** Idempotent. */
  close(): void {
    this.#isClosed = true;
    this.#cancelReport();
    this.connection.close();
  }

  #reportLater(): void {
    if (this.#isClosed) return;
    this.#cancelReport = this.schedule(() => {
      for (const { session, streams } of this.#receiving.values()) {
        if (streams.size === 0) continue;
        const readings = Array.from(streams, ({ streamId, reading }) =>
          reading ? [{ streamId, reading }] : [],
        ).flat();
        // Statistics that are refused are no reason to do anything.
        this.watchOver(session, session.client.request('report', { readings })).catch(nothing);
      }
      this.#reportLater();
    }, SFU_REPORT_MS);
  }

  #watch(receiving: Receiving): void {
    const { transport, session } = receiving;
    transport.on('connect', ({ dtlsParameters }, onConnected, onFailed) => {
      session.client
        .request('connectTransport', { transportId: transport.id, dtlsParameters })
        .then(() => onConnected(), onFailed);
    });
    transport.on('connectionstatechange', (state) => {
      receiving.cancelGrace();
      if (state === 'failed') this.#giveUp(receiving, 'No media comes through by WebRTC.');
      if (state !== 'disconnected') return;
      receiving.cancelGrace = this.schedule(() => {
        this.#giveUp(receiving, 'The WebRTC connection was lost.');
      }, WEBRTC_DISCONNECT_GRACE_MS);
    });
  }

  /** The next stream gets another transport, which is what may help. */
  #giveUp({ session, transport }: Receiving, message: string): void {
    const closed = session.client.request('closeTransport', { transportId: transport.id });
    this.watchOver(session, closed).catch(nothing);
    this.#end(transport.id, new CodedError('UNAVAILABLE', message));
  }

  #end(transportId: string, error: CodedError): void {
    const receiving = this.#receiving.get(transportId);
    if (!receiving) return;
    this.#receiving.delete(transportId);
    receiving.cancelGrace();
    receiving.transport.close();
    for (const stream of receiving.streams) stream.onTransportEnded(error);
  }
}

async function loadDevice({ routerRtpCapabilities }: SfuSession): Promise<Device> {
  const { Device: MediasoupDevice } = await import('mediasoup-client');
  const device = new MediasoupDevice();
  await device.load({ routerRtpCapabilities });
  return device;
}
