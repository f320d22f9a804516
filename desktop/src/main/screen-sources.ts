/** The screens and windows that can be shared, with pictures to choose by. */
import { desktopCapturer } from 'electron';
import { MAX_SOURCE_NAME_LENGTH, type ScreenSource } from '../ipc.ts';

/** Screens first, then windows. Never the window `ownSourceId`: sharing it shows itself without end. */
export async function listScreenSources(
  thumbnailSize: { width: number; height: number },
  ownSourceId: string,
): Promise<ScreenSource[]> {
  const sources = await desktopCapturer.getSources({ types: ['screen', 'window'], thumbnailSize });
  return sources
    .filter(({ id }) => id !== ownSourceId)
    .map(({ id, name, thumbnail }): ScreenSource => {
      const kind = id.startsWith('screen:') ? 'screen' : 'window';
      return {
        sourceId: id,
        name: name.slice(0, MAX_SOURCE_NAME_LENGTH),
        kind,
        thumbnailUrl: thumbnail.isEmpty() ? '' : thumbnail.toDataURL(),
      };
    })
    .toSorted((a, b) => a.kind.localeCompare(b.kind));
}
