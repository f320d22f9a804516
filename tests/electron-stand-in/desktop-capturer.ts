/** Test code: the one screen of the X server, with a picture of what it shows at this moment. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { readSettings } from './settings.ts';

/** The source that Chromium is told to select; see chromium.ts. */
const SCREEN_ID = 'screen:0:0';

const run = promisify(execFile);

interface SourcesOptions {
  types: ('screen' | 'window')[];
  thumbnailSize?: { width: number; height: number };
}

export const desktopCapturer = {
  async getSources({ types, thumbnailSize = { width: 150, height: 150 } }: SourcesOptions) {
    if (!types.includes('screen')) return [];
    const png =
      thumbnailSize.width > 0 && thumbnailSize.height > 0 ? await grabScreen(thumbnailSize) : Buffer.alloc(0);
    const thumbnail = {
      isEmpty: () => png.length === 0,
      toDataURL: () => `data:image/png;base64,${png.toString('base64')}`,
    };
    return [{ id: SCREEN_ID, name: 'Entire screen', display_id: '0', appIcon: null, thumbnail }];
  },
};

async function grabScreen({ width, height }: { width: number; height: number }): Promise<Buffer> {
  const { display } = readSettings();
  const { stdout } = await run(
    'ffmpeg',
    [
      '-loglevel', 'error', '-f', 'x11grab', '-i', display, '-frames:v', '1',
      '-vf', `scale=${width}:${height}:force_original_aspect_ratio=decrease`,
      '-f', 'image2pipe', '-c:v', 'png', '-',
    ], // prettier-ignore
    { encoding: 'buffer', maxBuffer: 8 * 1024 * 1024 },
  );
  return stdout;
}
