/// <reference lib="dom" />
// Records the clips in shared/testing/webm-clips anew: `node tests/media/record-clips.ts [folder]`. Run by hand;
// needs Xvfb and Chromium (CHROMIUM_PATH, else /usr/bin/chromium). The screen captured is a real X screen that
// shows the recording page itself, with something always moving.

import { spawn, type ChildProcess } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { chromium, type Browser, type Page } from 'playwright-core';

interface Recipe {
  name: string;
  source: 'screen' | 'canvas-alpha';
  mimeType: string;
  hasSound: boolean;
  /** Asks for data every 250 ms from this time to that, as when somebody watches through the relay. */
  watched: { fromMs: number; toMs: number } | null;
}

interface Recording {
  mimeType: string;
  /** Base64, in order of arrival. */
  slices: string[];
}

const LENGTH_MS = 5500;
const WIDTH_PX = 320;
const HEIGHT_PX = 180;

const RECIPES: Recipe[] = [
  { name: 'vp8', source: 'screen', mimeType: 'video/webm;codecs=vp8', hasSound: false, watched: null },
  { name: 'vp9', source: 'screen', mimeType: 'video/webm;codecs=vp9', hasSound: false, watched: null },
  {
    name: 'vp8-opus',
    source: 'screen',
    mimeType: 'video/webm;codecs=vp8,opus',
    hasSound: true,
    watched: { fromMs: 2500, toMs: 4500 },
  },
  {
    name: 'vp9-opus',
    source: 'screen',
    mimeType: 'video/webm;codecs=vp9,opus',
    hasSound: true,
    watched: null,
  },
  {
    name: 'vp9-alpha',
    source: 'canvas-alpha',
    mimeType: 'video/webm;codecs=vp9',
    hasSound: false,
    watched: null,
  },
];

const CHROMIUM_ARGUMENTS = [
  '--no-sandbox',
  '--auto-select-desktop-capture-source=Entire screen',
  '--autoplay-policy=no-user-gesture-required',
  '--window-position=0,0',
  '--window-size=640,360',
  '--disable-renderer-backgrounding',
  '--disable-background-timer-throttling',
  '--disable-backgrounding-occluded-windows',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-quic',
  '--no-first-run',
];

const PAGE = `<!doctype html><title>Clip</title>
<style>
  body { margin: 0; height: 100vh; overflow: hidden; background: #143; color: #fff; font: 48px monospace }
  div { width: 120px; height: 120px; background: #fa3; animation: go 1.7s linear infinite alternate }
  @keyframes go { to { transform: translate(420px, 150px) rotate(180deg) } }
</style>
<p id="clock"></p><div></div>
<script>
  const tick = () => { clock.textContent = performance.now().toFixed(0); requestAnimationFrame(tick) };
  tick();
</script>`;

await main(process.argv[2] ?? join(import.meta.dirname, '../../shared/testing/webm-clips'));

async function main(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const screen = await startScreen();
  const server = await startServer();
  let browser: Browser | null = null;
  try {
    browser = await chromium.launch({
      executablePath: process.env.CHROMIUM_PATH ?? '/usr/bin/chromium',
      headless: false,
      args: CHROMIUM_ARGUMENTS,
      env: { ...process.env, DISPLAY: screen.display },
    });
    const page = await browser.newPage({ viewport: null });
    for (const recipe of RECIPES)
      await recordClip(page, server.url, recipe, { folder, version: browser.version() });
  } finally {
    await browser?.close();
    server.close();
    screen.process.kill();
  }
}

async function recordClip(
  page: Page,
  url: string,
  recipe: Recipe,
  { folder, version }: { folder: string; version: string },
): Promise<void> {
  // A page of its own for each clip: nothing is left running, and the capture begins the same way.
  await page.goto(url);
  const { mimeType, slices } = await page.evaluate(record, {
    ...recipe,
    lengthMs: LENGTH_MS,
    widthPx: WIDTH_PX,
    heightPx: HEIGHT_PX,
  });
  const bytes = slices.map((slice) => Buffer.from(slice, 'base64'));
  const sliceBytes = bytes.map((slice) => slice.length);
  const webm = Buffer.concat(bytes);
  await writeFile(join(folder, `${recipe.name}.webm`), webm);
  const description = { mimeType, source: recipe.source, chromium: version, sliceBytes };
  await writeFile(join(folder, `${recipe.name}.json`), `${JSON.stringify(description, null, 2)}\n`);
  process.stdout.write(`${recipe.name}: ${webm.length} bytes in ${sliceBytes.length} slices\n`);
}

/** Runs in the page, so all that it calls is inside it. */
/* oxlint-disable unicorn/consistent-function-scoping */
async function record(
  recipe: Recipe & { lengthMs: number; widthPx: number; heightPx: number },
): Promise<Recording> {
  const stream = recipe.source === 'screen' ? await captureScreen() : drawCanvas();
  if (recipe.hasSound) stream.addTrack(makeSound());
  // Newer than TypeScript's DOM types: videoKeyFrameIntervalDuration, in milliseconds.
  const options = {
    mimeType: recipe.mimeType,
    videoBitsPerSecond: 120_000,
    audioBitsPerSecond: 24_000,
    videoKeyFrameIntervalDuration: 2000,
  };
  const recorder = new MediaRecorder(stream, options);
  const slices: Promise<string>[] = [];
  recorder.ondataavailable = ({ data }) => slices.push(toBase64(data));
  const stopped = new Promise((resolve) => (recorder.onstop = resolve));
  recorder.start(2000);
  setTimeout(() => recorder.stop(), recipe.lengthMs);
  const { fromMs, toMs } = recipe.watched ?? { fromMs: 0, toMs: 0 };
  for (let at = fromMs; at < toMs; at += 250) setTimeout(() => recorder.requestData(), at);
  await stopped;
  for (const track of stream.getTracks()) track.stop();
  return { mimeType: recorder.mimeType, slices: await Promise.all(slices) };

  function captureScreen(): Promise<MediaStream> {
    const video = { width: recipe.widthPx, height: recipe.heightPx, frameRate: 30 };
    return navigator.mediaDevices.getDisplayMedia({ video, audio: false });
  }

  function drawCanvas(): MediaStream {
    const canvas = document.createElement('canvas');
    canvas.width = recipe.widthPx;
    canvas.height = recipe.heightPx;
    const context = canvas.getContext('2d');
    if (context === null) throw new Error('The canvas has no 2D context.');
    const draw = () => {
      context.clearRect(0, 0, canvas.width, canvas.height);
      context.fillStyle = 'rgba(250, 160, 50, 0.6)';
      context.fillRect((performance.now() / 10) % canvas.width, 40, 60, 60);
      requestAnimationFrame(draw);
    };
    draw();
    return canvas.captureStream(15);
  }

  function makeSound(): MediaStreamTrack {
    const audio = new AudioContext();
    const oscillator = new OscillatorNode(audio, { frequency: 440 });
    const destination = new MediaStreamAudioDestinationNode(audio);
    oscillator.connect(destination);
    oscillator.start();
    const [track] = destination.stream.getAudioTracks();
    if (track === undefined) throw new Error('The oscillator gives no track.');
    return track;
  }

  async function toBase64(blob: Blob): Promise<string> {
    let binary = '';
    for (const byte of new Uint8Array(await blob.arrayBuffer())) binary += String.fromCharCode(byte);
    return btoa(binary);
  }
}

/* oxlint-enable unicorn/consistent-function-scoping */

async function startScreen(): Promise<{ process: ChildProcess; display: string }> {
  const xvfb = spawn('Xvfb', ['-displayfd', '1', '-screen', '0', '640x360x24', '-nolisten', 'tcp'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const number = await new Promise<string>((resolve, reject) => {
    xvfb.once('error', reject);
    xvfb.once('exit', () => reject(new Error('Xvfb ended before it was ready.')));
    xvfb.stdout.once('data', (data: Buffer) => resolve(data.toString().trim()));
  });
  return { process: xvfb, display: `:${number}` };
}

/** The page must come from a secure origin, which loopback is, for getDisplayMedia to exist. */
async function startServer(): Promise<Server & { url: string }> {
  const server = createServer((_request, response) => {
    response.setHeader('content-type', 'text/html').end(PAGE);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The server has no port.');
  return Object.assign(server, { url: `http://127.0.0.1:${address.port}/` });
}
