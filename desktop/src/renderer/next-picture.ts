/** Finds out when pictures come, without looking at them. */

/** Chromium's interface that TypeScript's DOM does not know (W3C MediaStreamTrack Insertable Media Processing, 4). */
declare class MediaStreamTrackProcessor {
  constructor(init: { track: MediaStreamTrack });
  readonly readable: ReadableStream<VideoFrame>;
}

/**
 * Wall clock, in microseconds since 1970, at which the track delivers its next picture. Resolves with the time of the
 * call when `until` resolves before there is any.
 */
export async function timeOfNextPictureUs(track: MediaStreamTrack, until: Promise<unknown>): Promise<number> {
  const calledAtUs = Date.now() * 1000;
  const copy = track.clone();
  const reader = new MediaStreamTrackProcessor({ track: copy }).readable.getReader();
  const arrival = reader.read().then(({ value }) => {
    const arrivedAtUs = Date.now() * 1000;
    value?.close();
    return value === undefined ? calledAtUs : arrivedAtUs;
  });
  try {
    return await Promise.race([arrival, until.then(() => calledAtUs)]);
  } finally {
    copy.stop();
    await reader.cancel();
  }
}
