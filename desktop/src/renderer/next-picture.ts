/** Gets at single pictures of a track, for their time or for themselves. */

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
