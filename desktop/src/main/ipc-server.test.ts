import { CodedError, createId } from '@proofcast/shared';
import { pino } from 'pino';
import { beforeEach, describe, expect, it } from 'vitest';
import { APP_ORIGIN, channelOf, IPC_REQUESTS, MAX_SLICE_BYTES, type IpcRequestName } from '../ipc.ts';
import { serveIpc, type IpcHandlers } from './ipc-server.ts';
import type { IpcSender } from './trusted-sender.ts';

const log = pino({ level: 'silent' });
const webContents = {};
const trusted: IpcSender = { sender: webContents, senderFrame: { origin: APP_ORIGIN, parent: null } };
const recordingId = createId('recording');
const epochStart = {
  mimeType: 'video/webm;codecs=vp8',
  startedAtUs: 1,
  sourceName: 'Screen',
  widthPx: 1280,
  heightPx: 720,
  hasAudio: false,
};

/** Parameters that are right, for every request there is. */
const RIGHT: Record<IpcRequestName, object> = {
  openPage: {},
  readState: {},
  enrol: { serverUrl: 'https://relay.example.com', code: 'ABCD' },
  forgetEnrolment: { isBacklogGivenUp: false },
  listSources: {},
  beginSharing: { source: { sourceId: 'screen:0:0', name: 'Entire screen' } },
  continueSharing: {},
  announceStop: {},
  endSharing: {},
  declineResumption: {},
  discardRecording: { recordingId },
  readSfuAccess: { isRefused: false },
  openRecording: {},
  beginEpoch: { recordingId, start: epochStart },
  appendSlice: { recordingId, epoch: 0, captureTimeUs: 1, bytes: Uint8Array.of(1) },
  endEpoch: { recordingId, epoch: 0, sourceId: 'screen:0:0', reason: 'stopped' },
  sendStill: { captureTimeUs: 1, bytes: Uint8Array.of(1) },
};
const names = Object.keys(IPC_REQUESTS) as IpcRequestName[];

/** Electron's `ipcMain`, as far as its registry goes. */
class Registry {
  readonly listeners = new Map<string, (event: IpcSender, params: unknown) => Promise<unknown>>();
  handle(channel: string, listener: (event: IpcSender, params: unknown) => Promise<unknown>): void {
    this.listeners.set(channel, listener);
  }
  removeHandler(channel: string): void {
    this.listeners.delete(channel);
  }
  ask(name: IpcRequestName, event: IpcSender, params: unknown): Promise<unknown> | undefined {
    return this.listeners.get(channelOf(name))?.(event, params);
  }
}

let registry: Registry;
let handled: { name: string; params: unknown }[];
let failure: Error | undefined;
let stop: () => void;

beforeEach(() => {
  registry = new Registry();
  handled = [];
  failure = undefined;
  const handlers = Object.fromEntries(
    names.map((name) => [
      name,
      (params: unknown) => {
        handled.push({ name, params });
        if (failure) throw failure;
        return { from: name };
      },
    ]),
  ) as unknown as IpcHandlers;
  stop = serveIpc({ ipcMain: registry, webContents: () => webContents, handlers, log });
});

describe.each(names)('the request %s', (name) => {
  it('is answered when our own page asks', async () => {
    expect(await registry.ask(name, trusted, RIGHT[name])).toEqual({ ok: true, result: { from: name } });
    expect(handled).toEqual([{ name, params: RIGHT[name] }]);
  });

  it.each<[string, IpcSender]>([
    ['another window', { ...trusted, sender: {} }],
    ['a frame inside our page', { ...trusted, senderFrame: { origin: APP_ORIGIN, parent: {} } }],
    [
      'a page of another origin',
      { ...trusted, senderFrame: { origin: 'https://evil.example', parent: null } },
    ],
    [
      'a page of an origin that begins like ours',
      { ...trusted, senderFrame: { origin: `${APP_ORIGIN}.evil`, parent: null } },
    ],
    ['a page without an origin', { ...trusted, senderFrame: { origin: 'null', parent: null } }],
    ['a frame that is gone', { ...trusted, senderFrame: null }],
  ])('is refused when %s asks', async (_who, sender) => {
    expect(await registry.ask(name, sender, RIGHT[name])).toMatchObject({
      ok: false,
      error: { code: 'ORIGIN_REFUSED' },
    });
    expect(handled).toEqual([]);
  });

  it.each([
    ['nothing', undefined],
    ['null', null],
    ['text', 'x'],
    ['a list', []],
    ['something else', { bytes: 1, x: 1 }],
  ])('is refused when its parameters are %s', async (_what, params) => {
    expect(await registry.ask(name, trusted, params)).toMatchObject({
      ok: false,
      error: { code: 'MESSAGE_INVALID' },
    });
    expect(handled).toEqual([]);
  });

  it('is not answered after the service has ended', () => {
    stop();
    expect(registry.ask(name, trusted, RIGHT[name])).toBeUndefined();
  });
});

describe('parameters', () => {
  it.each<[IpcRequestName, object]>([
    ['appendSlice', { ...RIGHT.appendSlice, bytes: new Uint8Array(0) }],
    ['appendSlice', { ...RIGHT.appendSlice, bytes: new Uint8Array(MAX_SLICE_BYTES + 1) }],
    ['appendSlice', { ...RIGHT.appendSlice, bytes: [1, 2, 3] }],
    ['appendSlice', { ...RIGHT.appendSlice, bytes: new Uint16Array(2) }],
    ['appendSlice', { ...RIGHT.appendSlice, captureTimeUs: -1 }],
    ['appendSlice', { ...RIGHT.appendSlice, epoch: -1 }],
    ['appendSlice', { ...RIGHT.appendSlice, recordingId: '../../etc/passwd' }],
    ['beginEpoch', { recordingId, start: { ...epochStart, mimeType: 'text/html' } }],
    ['beginSharing', { sourceId: '' }],
    ['enrol', { serverUrl: 'x'.repeat(3000), code: 'ABCD' }],
  ])('of %s that are out of bounds are refused', async (name, params) => {
    expect(await registry.ask(name, trusted, params)).toMatchObject({ error: { code: 'MESSAGE_INVALID' } });
    expect(handled).toEqual([]);
  });
});

describe('a handler that fails', () => {
  it('with a coded error tells the page its code', async () => {
    failure = new CodedError('SPOOL_FULL', 'Cannot keep more.', { details: { usedBytes: 1 } });
    expect(await registry.ask('endSharing', trusted, {})).toEqual({
      ok: false,
      error: { code: 'SPOOL_FULL', message: 'Cannot keep more.', details: { usedBytes: 1 } },
    });
  });

  it('with anything else tells the page nothing of it', async () => {
    failure = new Error('/home/somebody/secret');
    const answer = await registry.ask('endSharing', trusted, {});
    expect(answer).toMatchObject({ ok: false, error: { code: 'INTERNAL' } });
    expect(JSON.stringify(answer)).not.toContain('secret');
  });
});
