/** Test code: the app's decisions about permissions and screen capture, asked where Chromium would ask them. */
import type { StandInFrame } from './ipc-main.ts';
import type { WebContents } from './web-contents.ts';

type CheckHandler = (
  webContents: WebContents,
  permission: string,
  origin: string,
  details: { isMainFrame: boolean; mediaType?: string },
) => boolean;
type RequestHandler = (
  webContents: WebContents,
  permission: string,
  callback: (isGranted: boolean) => void,
  details: { isMainFrame: boolean; requestingUrl: string; mediaTypes?: string[] },
) => void;
interface DisplayMediaRequest {
  frame: StandInFrame | null;
  securityOrigin: string;
  videoRequested: boolean;
  audioRequested: boolean;
  userGesture: boolean;
}
type DisplayMediaHandler = (
  request: DisplayMediaRequest,
  callback: (streams: { video?: { id: string; name: string } } | null) => void,
) => void;

let checkHandler: CheckHandler = () => true;
let requestHandler: RequestHandler = (_webContents, _permission, callback) => callback(true);
let displayMediaHandler: DisplayMediaHandler | null = null;

const defaultSession = {
  setPermissionCheckHandler(handler: CheckHandler): void {
    checkHandler = handler;
  },
  setPermissionRequestHandler(handler: RequestHandler): void {
    requestHandler = handler;
  },
  setDevicePermissionHandler(_handler: () => boolean): void {},
  setDisplayMediaRequestHandler(handler: DisplayMediaHandler): void {
    displayMediaHandler = handler;
  },
};

export const session = { defaultSession };

/** Whether the page gets the devices that it asks for. */
export async function decideUserMedia(
  webContents: WebContents,
  frame: StandInFrame,
  asked: { audio: boolean; video: boolean },
): Promise<boolean> {
  const mediaTypes = (['audio', 'video'] as const).filter((type) => asked[type]);
  const isMainFrame = frame.parent === null;
  const isChecked = mediaTypes.every((mediaType) =>
    checkHandler(webContents, 'media', frame.origin, { isMainFrame, mediaType }),
  );
  if (!isChecked) return false;
  return new Promise((resolve) => {
    const details = { isMainFrame, requestingUrl: frame.url, mediaTypes: [...mediaTypes] };
    requestHandler(webContents, 'media', resolve, details);
  });
}

/** The id of the source that the page gets, or null when it gets none. */
export async function decideDisplayMedia(
  webContents: WebContents,
  frame: StandInFrame,
  asked: { video: boolean; audio: boolean; userGesture: boolean },
): Promise<string | null> {
  const isMainFrame = frame.parent === null;
  // Electron asks for "media" without naming a device when a page captures a screen.
  const isGranted =
    checkHandler(webContents, 'media', frame.origin, { isMainFrame }) ||
    (await new Promise<boolean>((resolve) => {
      requestHandler(webContents, 'media', resolve, {
        isMainFrame,
        requestingUrl: frame.url,
        mediaTypes: [],
      });
    }));
  const handler = displayMediaHandler;
  if (!isGranted || !handler) return null;
  const streams = await new Promise<{ video?: { id: string } } | null>((resolve) => {
    const { video: videoRequested, audio: audioRequested, userGesture } = asked;
    handler({ frame, securityOrigin: frame.origin, videoRequested, audioRequested, userGesture }, resolve);
  });
  return streams?.video?.id ?? null;
}
