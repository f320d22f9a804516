// Proves that the worker named by MEDIASOUP_WORKER_BIN is fit for use: a real Chromium completes two DTLS
// handshakes with it, sends it a picture and gets that picture back. A worker that merely starts can still
// crash at the first handshake or garble SRTP when it was built against other libraries than its own.
//
// Run as `node scripts/mediasoup-worker/verify.ts <Chromium's path>`; exit code 0 when fit, else 1 with the
// reason on stderr.

import { fileURLToPath } from 'node:url';
import { createWorker, version, workerBin } from 'mediasoup';
import type { types } from 'mediasoup';
import type { types as clientTypes } from 'mediasoup-client';
import { chromium } from 'playwright-core';
import type { Browser } from 'playwright-core';
import { build } from 'vite';
import type { Answers, Direction } from './verify-page.ts';

const TIMEOUT_MS = 45_000;
const WANTED_FRAMES = 5;

const CHROMIUM_ARGS = [
  // Both ends are on 127.0.0.1, which browsers neither use nor name in ICE unless told to.
  '--allow-loopback-in-peer-connection',
  '--disable-features=WebRtcHideLocalIpsWithMdns',
  '--disable-renderer-backgrounding',
  '--disable-background-timer-throttling',
  '--disable-backgrounding-occluded-windows',
  // Keep it quiet on a closed network.
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-quic',
  '--no-first-run',
  // Chromium refuses its sandbox to root, and containers refuse it to Chromium. The only page is our own.
  '--no-sandbox',
];

const MEDIA_CODECS: types.RouterRtpCodecCapability[] = [
  { kind: 'video', mimeType: 'video/VP8', clockRate: 90_000 },
];

async function verify(executablePath: string): Promise<number> {
  const pageScript = await bundlePage();
  const worker = await createWorker({ logLevel: 'warn' });

  try {
    const browser = await chromium.launch({ executablePath, args: CHROMIUM_ARGS });

    try {
      return await exchangePictures({ worker, browser, pageScript });
    } finally {
      await browser.close();
    }
  } finally {
    worker.close();
  }
}

interface Parties {
  worker: types.Worker;
  browser: Browser;
  pageScript: string;
}

async function exchangePictures({ worker, browser, pageScript }: Parties): Promise<number> {
  const router = await worker.createRouter({ mediaCodecs: MEDIA_CODECS });
  const webRtcServer = await worker.createWebRtcServer({
    listenInfos: [{ protocol: 'udp', ip: '127.0.0.1', portRange: { min: 20_000, max: 50_000 } }],
  });
  const transports = new Map<Direction, types.WebRtcTransport>();
  const page = await browser.newPage();

  for (const [question, answer] of Object.entries(answersFor({ router, webRtcServer, transports }))) {
    await page.exposeFunction(question, answer);
  }
  await page.addScriptTag({ content: pageScript });

  const frames = await Promise.race([
    page.evaluate((wantedFrames) => window.sendAndReceive(wantedFrames), WANTED_FRAMES),
    death(worker),
    timeout(() => `no picture came back within ${TIMEOUT_MS / 1000} s (${describe(transports)})`),
  ]);

  assertConnected(transports);

  return frames;
}

interface ServerSide {
  router: types.Router;
  webRtcServer: types.WebRtcServer;
  transports: Map<Direction, types.WebRtcTransport>;
}

/**
 * What verify-page.ts asks of the server: one transport for each direction, a producer, its consumer.
 * The casts are between two packages' descriptions of the same JSON; they name different header extensions.
 */
function answersFor({ router, webRtcServer, transports }: ServerSide): Answers {
  let producer: types.Producer;
  let consumer: types.Consumer;

  return {
    askRouter: async () => router.rtpCapabilities as clientTypes.RtpCapabilities,

    askTransport: async (direction) => {
      const transport = await router.createWebRtcTransport({ webRtcServer });
      const { id, iceParameters, iceCandidates, dtlsParameters } = transport;

      transports.set(direction, transport);

      return { id, iceParameters, iceCandidates, dtlsParameters };
    },

    askConnect: (direction, dtlsParameters) => transports.get(direction)!.connect({ dtlsParameters }),

    askProduce: async (rtpParameters) => {
      producer = await transports.get('send')!.produce({ kind: 'video', rtpParameters });

      return producer.id;
    },

    askConsume: async (rtpCapabilities) => {
      const producerId = producer.id;

      consumer = await transports.get('receive')!.consume({ producerId, rtpCapabilities, paused: true });

      const { id, kind, rtpParameters } = consumer;

      return { id, producerId, kind, rtpParameters: rtpParameters as clientTypes.RtpParameters };
    },

    askResume: () => consumer.resume(),
  };
}

function describe(transports: ServerSide['transports']): string {
  const states = [...transports].map(
    ([direction, { iceState, dtlsState }]) => `${direction}: ICE ${iceState}, DTLS ${dtlsState}`,
  );

  return states.length > 0 ? states.join('; ') : 'no transport was asked for';
}

function assertConnected(transports: ServerSide['transports']): void {
  const connected = [...transports.values()].filter(({ dtlsState }) => dtlsState === 'connected');

  if (connected.length !== 2) {
    throw new Error(`pictures came back, but the transports are not connected (${describe(transports)})`);
  }
}

/** One classic script with mediasoup-client in it; the browser loads nothing from elsewhere. */
async function bundlePage(): Promise<string> {
  const output = await build({
    configFile: false,
    logLevel: 'silent',
    build: {
      write: false,
      minify: false,
      lib: {
        entry: fileURLToPath(new URL('verify-page.ts', import.meta.url)),
        formats: ['iife'],
        name: 'verifyPage',
      },
    },
  });
  const [bundle] = Array.isArray(output) ? output : [output];
  const chunk = bundle && 'output' in bundle ? bundle.output[0] : undefined;

  if (chunk?.type !== 'chunk') {
    throw new Error('Vite did not produce the page of the verification');
  }

  return chunk.code;
}

/** A worker that crashes leaves the browser waiting: this knows at once. */
function death(worker: types.Worker): Promise<never> {
  return new Promise((_, reject) => {
    worker.on('died', (error) => reject(new Error(`the worker died: ${error.message}`, { cause: error })));
  });
}

function timeout(reason: () => string): Promise<never> {
  return new Promise((_, reject) => {
    setTimeout(() => reject(new Error(reason())), TIMEOUT_MS).unref();
  });
}

const startedAtMs = performance.now();

try {
  const frames = await verify(process.argv[2] ?? '/usr/bin/chromium');
  const seconds = ((performance.now() - startedAtMs) / 1000).toFixed(1);

  console.log(`mediasoup ${version}: handshakes done, ${frames} pictures came back, ${seconds} s`);
} catch (error) {
  console.error(`The mediasoup worker ${workerBin} is not fit for use: ${(error as Error).message}`);
  process.exitCode = 1;
}
