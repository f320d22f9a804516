import { CodedError, type TransportOptions } from '@proofcast/shared';
import type { IceParameters, Router, WebRtcServer, WebRtcTransport } from 'mediasoup/types';
import { askMediasoup, offerToMediasoup } from './media-errors.ts';
import { TRANSPORT_OPTIONS } from './media-options.ts';
import { parseDtlsParameters } from './media-parameters.ts';

/** The way of media between one client and one stream; `Publisher` and `Viewer` own one each. */
export class MediaTransport {
  readonly webRtc: WebRtcTransport;
  #isConnected = false;

  private constructor(webRtc: WebRtcTransport) {
    this.webRtc = webRtc;
  }

  static async open(router: Router, webRtcServer: WebRtcServer): Promise<MediaTransport> {
    const webRtc = await askMediasoup('open a transport', () =>
      router.createWebRtcTransport({ ...TRANSPORT_OPTIONS, webRtcServer }),
    );
    return new MediaTransport(webRtc);
  }

  /** What the client needs to connect. */
  get options(): TransportOptions {
    const { id, iceParameters, iceCandidates, dtlsParameters } = this.webRtc;
    return { id, iceParameters, iceCandidates, dtlsParameters };
  }

  get isClosed(): boolean {
    return this.webRtc.closed;
  }

  /**
   * Announces that the client has ended the connection, or that nobody can trust it. A connection that is merely
   * interrupted does not count: the client restarts ICE.
   */
  onLost(callback: () => void): void {
    this.webRtc.on('dtlsstatechange', (state) => {
      if (state === 'failed' || state === 'closed') callback();
    });
  }

  /** Throws `MESSAGE_UNEXPECTED` the second time. Calls must not overlap. */
  async connect(dtlsParameters: unknown): Promise<void> {
    if (this.#isConnected) {
      throw new CodedError('MESSAGE_UNEXPECTED', 'Cannot connect the transport: it is connected already.');
    }
    const parsed = parseDtlsParameters(dtlsParameters);
    await offerToMediasoup('connect the transport', () => this.webRtc.connect({ dtlsParameters: parsed }));
    this.#isConnected = true;
  }

  restartIce(): Promise<IceParameters> {
    return askMediasoup('restart ICE', () => this.webRtc.restartIce());
  }

  /** Closes everything that goes over it. Idempotent. */
  close(): void {
    this.webRtc.close();
  }
}
