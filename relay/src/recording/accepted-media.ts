/**
 * Which of all that is webm a recording takes: what a recorder makes, and what every reader of the finished file
 * understands in the same way. What is refused here could be received, and never become a file. Pure.
 */
import { CodedError, type WebmInit, type WebmItem, type WebmTrack } from '@proofcast/shared';

const CODECS = {
  video: new Set(['V_VP8', 'V_VP9', 'V_AV1', 'V_MPEG4/ISO/AVC']),
  audio: new Set(['A_OPUS', 'A_PCM/FLOAT/IEEE']),
} as const;

/** A recorder counts milliseconds. Finer and coarser clocks are fine, as long as years can be told in them. */
const LEAST_SCALE_NS = 1_000;
const MOST_SCALE_NS = 1_000_000_000;

/** A recorder that ran for so long has a clock that is broken. */
const MOST_EPOCH_MS = 366 * 24 * 3_600_000;

/** RFC 7845, section 5.1: magic, version, channels, … and last the channel mapping family. */
const OPUS_HEAD_BYTES = 19;
const OPUS_HEAD = 'OpusHead';
const OPUS_VERSION_AT = 8;
const OPUS_CHANNELS_AT = 9;
const OPUS_FAMILY_AT = 18;
/** Of family 0, which needs no table; a recorder has no other. */
const MOST_OPUS_CHANNELS = 2;
const MOST_OPUS_VERSION = 15;
/** ISO/IEC 14496-15, 5.3.3.1: the shortest AVCDecoderConfigurationRecord, and its version. */
const AVC_CONFIGURATION_BYTES = 7;
const AVC_CONFIGURATION_VERSION = 1;

const MOST_PCM_CHANNELS = 8;

/** Throws `WEBM_UNSUPPORTED` when an item is none that a recording takes. */
export function checkAccepted(items: readonly WebmItem[]): void {
  for (const item of items) {
    if (item.type === 'init') checkInit(item);
    if (item.type === 'cluster' && item.timestampMs > MOST_EPOCH_MS) {
      throw unsupported(`the cluster at byte ${item.start} is ${item.timestampMs} ms after its beginning`);
    }
  }
}

function checkInit({ tracks, timestampScaleNs }: WebmInit): void {
  if (timestampScaleNs < LEAST_SCALE_NS || timestampScaleNs > MOST_SCALE_NS) {
    throw unsupported(`its clock ticks every ${timestampScaleNs} ns`);
  }
  for (const kind of ['video', 'audio', 'other'] as const) {
    const count = tracks.filter((track) => track.kind === kind).length;
    const most = kind === 'other' ? 0 : 1;
    if (count > most)
      throw unsupported(`it has ${count} tracks of the kind ${kind}, at most ${most} is taken`);
  }
  for (const track of tracks) checkTrack(track);
}

function checkTrack(track: WebmTrack): void {
  const { kind, codecId } = track;
  if (kind === 'other' || !CODECS[kind].has(codecId)) {
    throw unsupported(`its ${kind} has the codec ${JSON.stringify(codecId)}`);
  }
  if (!hasUsableSetup(track)) throw unsupported(`the setup of its codec ${codecId} is none`);
}

/** Readers open the decoder of each track to look at it, and give up on the whole file when they cannot. */
function hasUsableSetup(track: WebmTrack): boolean {
  const { codecId, codecPrivate } = track;
  switch (codecId) {
    case 'V_MPEG4/ISO/AVC':
      return (
        codecPrivate !== null &&
        codecPrivate.length >= AVC_CONFIGURATION_BYTES &&
        codecPrivate[0] === AVC_CONFIGURATION_VERSION
      );
    case 'A_OPUS':
      return codecPrivate === null || isOpusHead(codecPrivate);
    case 'A_PCM/FLOAT/IEEE':
      return track.kind === 'audio' && track.channels >= 1 && track.channels <= MOST_PCM_CHANNELS;
    default:
      return true;
  }
}

function isOpusHead(setup: Uint8Array): boolean {
  if (setup.length < OPUS_HEAD_BYTES) return false;
  const magic = new TextDecoder('latin1').decode(setup.subarray(0, OPUS_HEAD.length));
  const [version = 0, channels = 0] = [setup[OPUS_VERSION_AT], setup[OPUS_CHANNELS_AT]];
  const hasChannels = channels >= 1 && channels <= MOST_OPUS_CHANNELS && setup[OPUS_FAMILY_AT] === 0;
  return magic === OPUS_HEAD && version <= MOST_OPUS_VERSION && hasChannels;
}

function unsupported(because: string): CodedError {
  return new CodedError('WEBM_UNSUPPORTED', `Cannot record the epoch: ${because}.`);
}
