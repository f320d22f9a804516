/** Somebody at the dashboard on a peer of a test network, who opens a stream and then touches nothing. */
import { setTimeout as wait } from 'node:timers/promises';
import type { Page } from 'playwright-core';
import type { PathName } from '../../dashboard/src/player/video-path.ts';
import { watchStamps, type SeenStamp } from '../harness/stamp-readers.ts';
import { keepPictureLog, readPictureLog, STAGE, type PictureChange, type PictureLog } from './picture-log.ts';
import type { NetworkLink } from './network-link.ts';
import type { Peer } from './test-network.ts';

/** Several browsers, an app and the services share the machine. */
const TIMEOUT_MS = 60_000;
const POLL_MS = 50;

const VIDEO = `${STAGE} [data-testid="video"]`;

declare global {
  interface Window {
    peerConnections?: RTCPeerConnection[];
  }
}

interface NetworkViewerOptions {
  readonly page: Page;
  readonly peer: Peer;
  readonly streamUrl: string;
}

export class NetworkViewer {
  readonly page: Page;
  readonly #peer: Peer;
  readonly #streamUrl: string;

  private constructor({ page, peer, streamUrl }: NetworkViewerOptions) {
    this.page = page;
    this.#peer = peer;
    this.#streamUrl = streamUrl;
  }

  static async create(options: NetworkViewerOptions): Promise<NetworkViewer> {
    await keepPictureLog(options.page);
    await options.page.addInitScript(keepPeerConnections);
    return new NetworkViewer(options);
  }

  get link(): NetworkLink {
    return this.#peer.link;
  }

  /** See `Peer`; the page is told of nothing. */
  changeNetwork(): Promise<void> {
    return this.#peer.changeNetwork();
  }

  /** Opens the stream in a new page; resolves with the milliseconds from then to the first picture. */
  async open(): Promise<number> {
    await this.page.goto(this.#streamUrl);
    let first: PictureChange | undefined;
    await this.#poll(
      ({ changes }) => (first = changes.find(({ picture }) => picture === 'playing')) !== undefined,
    );
    return Math.round(first!.atMs - (await this.log()).openedAtMs);
  }

  /** Resolves when the picture comes this way, at once when it does. */
  async waitForPath(path: PathName): Promise<void> {
    await this.page.locator(`${STAGE}[data-path="${path}"]`).waitFor({ timeout: TIMEOUT_MS });
  }

  /** By which the picture comes at the moment; `none` without one. */
  async path(): Promise<string | null> {
    return this.page.locator(STAGE).getAttribute('data-path');
  }

  /** Resolves when the picture that was shown at a moment has been lost, or replaced by another one. */
  async waitForLoss(sinceMs: number): Promise<void> {
    await this.#poll(({ changes }) => changes.some(({ atMs }) => atMs > sinceMs));
  }

  /** Resolves when the page has said since a moment that there is no picture. */
  async waitForNoPicture(sinceMs: number): Promise<void> {
    await this.#poll(({ changes }) =>
      changes.some(({ atMs, picture }) => atMs > sinceMs && picture === 'no-picture'),
    );
  }

  /** What carries the picture that comes by WebRTC, with `relay` when a TURN server does; null when nothing does. */
  async mediaProtocol(): Promise<string | null> {
    return this.page.evaluate(async () => {
      for (const connection of window.peerConnections ?? []) {
        if (connection.connectionState !== 'connected') continue;
        const report = await connection.getStats();
        const entries = [...report.values()] as Record<string, string | boolean>[];
        const pair = entries.find(
          (entry) => entry['type'] === 'candidate-pair' && entry['nominated'] === true,
        );
        const local = entries.find(({ id }) => id === pair?.['localCandidateId']);
        if (local?.['candidateType'] === 'relay') return `relay ${String(local['relayProtocol'])}`;
        if (local) return String(local['protocol']);
      }
      return null;
    });
  }

  /** Of the picture that is shown; 0: there is none. */
  widthPx(): Promise<number> {
    return this.page.evaluate((selector) => {
      return document.querySelector<HTMLVideoElement>(selector)?.videoWidth ?? 0;
    }, VIDEO);
  }

  /** How late the page says that the picture is, once it knows the whole way; milliseconds. */
  async saidAgeMs(): Promise<number> {
    const said = this.page.locator('.path__delay').filter({ hasNotText: '≥' }).first();
    const [, number, unit] =
      /^([\d.]+)\s(ms|s)$/.exec((await said.textContent({ timeout: TIMEOUT_MS })) ?? '') ?? [];
    return Number(number) * (unit === 's' ? 1_000 : 1);
  }

  /** Resolves with so many pictures that were drawn on the publisher's screen after now. */
  async watch(count: number): Promise<SeenStamp[]> {
    const sinceMs = Date.now();
    const fresh = (seen: readonly SeenStamp[]) => seen.filter(({ stampMs }) => stampMs > sinceMs);
    return fresh(
      await watchStamps(this.page, VIDEO, {
        isEnough: (seen) => fresh(seen).length >= count,
        timeoutMs: TIMEOUT_MS,
      }),
    );
  }

  /** Watches until a moment. */
  async watchUntil(untilMs: number): Promise<void> {
    await watchStamps(this.page, VIDEO, {
      isEnough: () => Date.now() >= untilMs,
      timeoutMs: untilMs - Date.now() + TIMEOUT_MS,
    });
  }

  log(): Promise<PictureLog> {
    return readPictureLog(this.page);
  }

  /** What was seen since a moment; what was on the page then comes first. */
  async changesSince(sinceMs: number): Promise<PictureChange[]> {
    const { changes } = await this.log();
    const before = changes.findLastIndex(({ atMs }) => atMs <= sinceMs);
    return changes.slice(Math.max(0, before));
  }

  async #poll(isSo: (log: PictureLog) => boolean): Promise<void> {
    const deadlineMs = Date.now() + TIMEOUT_MS;
    for (let log = await this.log(); !isSo(log); log = await this.log()) {
      if (Date.now() > deadlineMs) throw new Error(`The page stays as it is: ${JSON.stringify(log.changes)}`);
      await wait(POLL_MS);
    }
  }
}

/** Runs in the page: so that statistics can be read of what is otherwise nobody's business. */
function keepPeerConnections(): void {
  const connections: RTCPeerConnection[] = [];
  window.peerConnections = connections;
  const NativePeerConnection = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends NativePeerConnection {
    constructor(configuration?: RTCConfiguration) {
      super(configuration);
      connections.push(this);
    }
  };
}
