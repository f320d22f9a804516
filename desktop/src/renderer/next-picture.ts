/** Gets at the pictures of a track one by one, for their time or for themselves. */

/** Chromium's interface that TypeScript's DOM does not know (W3C MediaStreamTrack Insertable Media Processing, 4). */
declare class MediaStreamTrackProcessor {
  constructor(init: { track: MediaStreamTrack });
  readonly readable: ReadableStream<VideoFrame>;
}

/**
 * The next picture that the track delivers, which is the caller's to close; null when `until` resolves before there is
 * any, or the track ends.
 */
export async function nextPicture(
  track: MediaStreamTrack,
  until: Promise<unknown>,
): Promise<VideoFrame | null> {
  const copy = track.clone();
  const reader = new MediaStreamTrackProcessor({ track: copy }).readable.getReader();
  let isOver = false;
  const arrival = reader.read().then(({ value }) => {
    if (isOver) value?.close();
    return value ?? null;
  });
  try {
    return await Promise.race([arrival, until.then(() => null)]);
  } finally {
    isOver = true;
    copy.stop();
    await reader.cancel();
  }
}

/**
 * Wall clock, in microseconds since 1970, at which the track delivers its next picture. Resolves with the time of the
 * call when `until` resolves before there is any.
 */
export async function timeOfNextPictureUs(track: MediaStreamTrack, until: Promise<unknown>): Promise<number> {
  const calledAtUs = Date.now() * 1000;
  const picture = await nextPicture(track, until);
  const arrivedAtUs = Date.now() * 1000;
  picture?.close();
  return picture === null ? calledAtUs : arrivedAtUs;
}

/** Draws each picture of the track, in its own size, until the function that it returns is called or the track ends. */
export function drawPictures(track: MediaStreamTrack, canvas: HTMLCanvasElement): () => void {
  const reader = new MediaStreamTrackProcessor({ track }).readable.getReader();
  const context = canvas.getContext('2d');
  const draw = async (): Promise<void> => {
    for (;;) {
      const { value: picture } = await reader.read();
      if (!picture) return;
      const { displayWidth, displayHeight } = picture;
      if (canvas.width !== displayWidth) canvas.width = displayWidth;
      if (canvas.height !== displayHeight) canvas.height = displayHeight;
      context?.drawImage(picture, 0, 0);
      picture.close();
    }
  };
  void draw();
  return () => void reader.cancel();
}
