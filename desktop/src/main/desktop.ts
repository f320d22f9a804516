/** Wires the main process: what is opened here is closed here. */
import { ipcMain, powerMonitor, protocol, safeStorage, session } from 'electron';
import { EventEmitter } from 'node:events';
import { join } from 'node:path';
import type { Logger } from 'pino';
import {
  APP_ORIGIN,
  APP_SCHEME,
  channelOf,
  type DesktopState,
  type IpcEventData,
  type IpcEventName,
} from '../ipc.ts';
import { createAppProtocol } from './app-protocol.ts';
import { ChunkSpool } from './chunk-spool.ts';
import type { IngestAccess } from './chunk-uploader.ts';
import { confirmClosing } from './close-confirmation.ts';
import type { DesktopConfig } from './config.ts';
import { DeviceIdentity } from './device-identity.ts';
import { handDisplayMedia } from './display-media.ts';
import { createIpcHandlers } from './ipc-handlers.ts';
import { serveIpc } from './ipc-server.ts';
import { restrictPermissions } from './permissions.ts';
import { watchPower } from './power-watch.ts';
import type { SpooledStart } from './recording-file.ts';
import { Recordings } from './recordings.ts';
import { reviveRenderer } from './renderer-revival.ts';
import { listScreenSources } from './screen-sources.ts';
import { SettingsFile } from './settings.ts';
import { Sharing } from './sharing.ts';
import { UploadQueue } from './upload-queue.ts';
import { createWindow } from './window.ts';

export interface Desktop {
  /** Brings the window to the front. */
  focus(): void;
  /** Ends what runs and closes all files; the spool keeps what the relay has not confirmed. Idempotent. */
  close(): Promise<void>;
}

/** `appDirectory` holds the built pages in `dist`; `dataDirectory` is this person's. Call when Electron is ready. */
export async function openDesktop(options: {
  config: DesktopConfig;
  appDirectory: string;
  dataDirectory: string;
  log: Logger;
}): Promise<Desktop> {
  const { config, appDirectory, dataDirectory, log } = options;
  const changes = new EventEmitter<{ changed: [] }>();
  const announce = () => void changes.emit('changed');

  const settings = await SettingsFile.open(dataDirectory, log);
  const identity = await DeviceIdentity.open({
    directory: dataDirectory,
    settings,
    keyStore: safeStorage,
    requestTimeoutMs: config.requestTimeoutMs,
    log,
    onChanged: () => {
      queue.restart();
      announce();
    },
  });
  const spool = await ChunkSpool.open(join(dataDirectory, 'spool'), config.spool, { log, onSpace: announce });
  const queue = new UploadQueue({
    limits: config.upload,
    log,
    accessFor: ({ start }) => ingestAccessFor(start, identity),
    remove: (recording) => spool.remove(recording).finally(announce),
    onChanged: announce,
  });
  const recordings = new Recordings({
    spool,
    queue,
    stallAfterMs: config.stallAfterMs,
    resumeWindowMs: config.resumeWindowMs,
    isOurs: ({ start }) => ingestAccessFor(start, identity) !== null,
    log,
    onChanged: announce,
  });
  const sharing = new Sharing(announce);
  const readState = (): DesktopState => ({
    enrolment: identity.describe(),
    lastSourceId: settings.current.lastSourceId,
    share: sharing.description,
    recording: recordings.path,
    stalledSinceMs: recordings.stalledSinceMs,
    isSpoolFull: spool.space.isFull,
    relayViewerCount: recordings.viewerCount,
    stillsIntervalMs: recordings.stillsIntervalMs,
    backlogBytes: recordings.backlogBytes,
    resumable: sharing.isActive ? null : recordings.resumable,
    uploads: recordings.uploads,
  });

  protocol.handle(APP_SCHEME, await createAppProtocol(join(appDirectory, 'dist', 'renderer')));
  restrictPermissions(session.defaultSession, sharing);
  const window = createWindow(join(appDirectory, 'dist', 'preload.cjs'));
  const send = <N extends IpcEventName>(name: N, data: IpcEventData<N>): void => {
    if (!window.isDestroyed()) window.webContents.send(channelOf(name), data);
  };
  handDisplayMedia({ session: session.defaultSession, window, sharing });
  const onPageGone = async (): Promise<void> => {
    const isStopping = sharing.isStopping;
    sharing.interrupt();
    await recordings.onPageGone();
    if (!isStopping) return;
    await recordings.endCurrent();
    sharing.end();
  };
  const revival = reviveRenderer({ window, limits: config.reload, log, onGone: onPageGone });
  const stopServing = serveIpc({
    ipcMain,
    webContents: () => window.webContents,
    log,
    handlers: createIpcHandlers({
      settings,
      identity,
      recordings,
      sharing,
      readState,
      log,
      onPageReplaced: onPageGone,
      onPageProven: () => revival.onProof(),
      // Chromium lets a page capture only after a click; the person who chose this source has clicked once.
      lendGesture: () => window.webContents.executeJavaScript('undefined', true),
      listSources: () => listScreenSources(config.thumbnail, window.getMediaSourceId()),
    }),
  });
  const stopWatchingPower = watchPower({ powerMonitor, recordings, send: (name) => send(name, {}), log });
  const stopPublishing = publishState(changes, () => send('stateChanged', readState()));
  confirmClosing({
    window,
    sharing,
    requestStop: () => send('stopRequested', {}),
    whenUploaded: (timeoutMs) => whenSettled(recordings, changes, timeoutMs),
    timeoutMs: config.quitTimeoutMs,
  });
  await window.loadURL(`${APP_ORIGIN}/index.html`);

  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    stopServing();
    stopWatchingPower();
    stopPublishing();
    revival.close();
    recordings.close();
    await recordings.endCurrent();
    queue.close();
    await spool.close();
  };
  return {
    focus() {
      if (window.isMinimized()) window.restore();
      window.focus();
    },
    close: () => (closing ??= close()),
  };
}

/** Null when the recording was made under another enrolment, whose tokens this device does not get. */
function ingestAccessFor(start: SpooledStart, identity: DeviceIdentity): IngestAccess | null {
  const { enrolment } = identity;
  if (enrolment?.deviceId !== start.deviceId || enrolment.serverUrl !== start.serverUrl) return null;
  const { access } = identity;
  return {
    async get() {
      const { tokens } = await access.get();
      const url = new URL(tokens.ingest.path, start.serverUrl);
      url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
      return { url: url.href, token: tokens.ingest.token };
    },
    discard: () => access.discard(),
  };
}

/** Chunks are confirmed many times a second; a person reads a few. */
const STATE_INTERVAL_MS = 100;

/** Calls `publish` soon after a change, and once for all changes until then. Returns the function that ends it. */
function publishState(changes: EventEmitter<{ changed: [] }>, publish: () => void): () => void {
  let timer: NodeJS.Timeout | undefined;
  const onChanged = () => {
    timer ??= setTimeout(() => {
      timer = undefined;
      publish();
    }, STATE_INTERVAL_MS);
  };
  changes.on('changed', onChanged);
  return () => {
    changes.off('changed', onChanged);
    clearTimeout(timer);
  };
}

/** Resolves when the last recording is complete at the relay, or never will be, or after `timeoutMs`. */
function whenSettled(
  recordings: Recordings,
  changes: EventEmitter<{ changed: [] }>,
  timeoutMs: number,
): Promise<void> {
  return new Promise((resolve) => {
    const check = () => {
      if (recordings.isCurrentSettled) finish();
    };
    const finish = () => {
      clearTimeout(timer);
      changes.off('changed', check);
      resolve();
    };
    const timer = setTimeout(finish, timeoutMs);
    changes.on('changed', check);
    check();
  });
}
