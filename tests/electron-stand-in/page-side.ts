/**
 * Test code that runs in the page, before anything else: gives the preload script its small `electron` module, and
 * lets the main process decide what `getDisplayMedia` and `getUserMedia` capture. It is sent to the page as text, so it uses nothing from
 * outside.
 */
export interface PageSideOptions {
  /** Names of the bindings to the main process; they are taken away from the page. */
  readonly invokeBinding: string;
  readonly displayMediaBinding: string;
  readonly userMediaBinding: string;
  /** Name of the function through which the main process delivers events. */
  readonly deliverName: string;
  /** The channel of an event that is the system's, not the app's: what is captured is there no more. */
  readonly endCaptureChannel: string;
}

export const END_CAPTURE_CHANNEL = 'stand-in:end-capture';

/** The built preload script as a CommonJS module. */
type Preload = (require: (name: string) => object, exports: object, module: object) => void;

type Listener = (event: object, ...args: unknown[]) => void;
type InvokeAnswer = { ok: true; result: unknown } | { ok: false; error: string };

export function installPageSide(options: PageSideOptions, preload: Preload): void {
  const { invokeBinding, displayMediaBinding, userMediaBinding, deliverName, endCaptureChannel } = options;
  const globals = globalThis as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>;
  const invokeMain = globals[invokeBinding];
  const askForDisplay = globals[displayMediaBinding];
  const askForDevices = globals[userMediaBinding];
  delete globals[invokeBinding];
  delete globals[displayMediaBinding];
  delete globals[userMediaBinding];
  // Electron runs the preload script in the main frame alone, and only the app's own pages are of interest here.
  const isAppPage = window.top === window && location.hostname.endsWith('.electron-stand-in.invalid');
  if (!isAppPage || !invokeMain || !askForDisplay || !askForDevices) return;

  const listeners = new Map<string, Set<Listener>>();
  const ipcRenderer = {
    async invoke(channel: string, ...args: unknown[]): Promise<unknown> {
      const answer = (await invokeMain(channel, structuredClone(args))) as InvokeAnswer;
      if (answer.ok) return answer.result;
      throw new Error(`Error invoking remote method '${channel}': ${answer.error}`);
    },
    on(channel: string, listener: Listener): void {
      const known = listeners.get(channel) ?? new Set();
      listeners.set(channel, known.add(listener));
    },
    removeListener(channel: string, listener: Listener): void {
      listeners.get(channel)?.delete(listener);
    },
  };
  Object.defineProperty(globalThis, deliverName, {
    value: (channel: string, args: unknown[]) => {
      if (channel === endCaptureChannel) endCapture();
      for (const listener of listeners.get(channel) ?? []) listener({}, ...args);
    },
  });

  /** Everything that crosses the bridge is copied, as between Electron's two worlds; functions become proxies. */
  const copy = (value: unknown): unknown => {
    if (typeof value === 'function') {
      return (...args: unknown[]): unknown => {
        const result: unknown = value(...args.map(copy));
        return result instanceof Promise ? result.then(copy) : copy(result);
      };
    }
    const isPlain =
      typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;
    if (!isPlain) return structuredClone(value);
    return Object.freeze(Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, copy(entry)])));
  };
  const contextBridge = {
    exposeInMainWorld(name: string, api: unknown): void {
      Object.defineProperty(globalThis, name, { value: copy(api), enumerable: true });
    },
  };

  let captured: MediaStreamTrack[] = [];
  function endCapture(): void {
    for (const track of captured) {
      // A track that is stopped from inside tells nobody.
      track.stop();
      track.dispatchEvent(new Event('ended'));
    }
  }

  const mediaDevices = navigator.mediaDevices;
  const capture = mediaDevices.getDisplayMedia.bind(mediaDevices);
  mediaDevices.getDisplayMedia = async (constraints = {}) => {
    const { video = true, audio = false } = constraints;
    const userGesture = navigator.userActivation.isActive;
    // Chromium says so itself; here it must not be asked too late, after the way to the main process and back.
    if (!userGesture) {
      throw new DOMException('getDisplayMedia() requires transient activation.', 'InvalidStateError');
    }
    if (!(await askForDisplay(Boolean(video), Boolean(audio), userGesture))) {
      throw new DOMException('Permission denied', 'NotAllowedError');
    }
    captured = (await capture(constraints)).getTracks();
    return new MediaStream(captured);
  };

  const openDevices = mediaDevices.getUserMedia.bind(mediaDevices);
  mediaDevices.getUserMedia = async (constraints = {}) => {
    const { audio = false, video = false } = constraints;
    if (await askForDevices(Boolean(audio), Boolean(video))) return openDevices(constraints);
    throw new DOMException('Permission denied', 'NotAllowedError');
  };

  const module = { exports: {} };
  const requireElectron = (name: string): object => {
    if (name === 'electron') return { contextBridge, ipcRenderer };
    throw new Error(`module not found: ${name}`);
  };
  preload(requireElectron, module.exports, module);
}
