// What the init segment says: the document type, the clock's unit and the tracks. Reads the three small header
// elements once the scanner has all of each.

import {
  AUDIO,
  CHANNELS,
  CODEC_ID,
  CODEC_PRIVATE,
  CONTENT_ENCODINGS,
  DOC_TYPE,
  DOC_TYPE_READ_VERSION,
  DURATION,
  EBML_MAX_ID_LENGTH,
  EBML_MAX_SIZE_LENGTH,
  EBML_READ_VERSION,
  PIXEL_HEIGHT,
  PIXEL_WIDTH,
  SAMPLING_FREQUENCY,
  TIMESTAMP_SCALE,
  TRACK_ENTRY,
  TRACK_NUMBER,
  TRACK_TYPE,
  VIDEO,
} from './elements.ts';
import { copyBytes } from '../copy-bytes.ts';
import { invalid, readElements, readFloat, readString, readUnsigned, unsupported } from './ebml.ts';

/** RFC 9559, section 5.1.2.9: ticks are milliseconds unless Info says otherwise. */
const DEFAULT_TIMESTAMP_SCALE_NS = 1_000_000;
/** RFC 9559, section 5.1.4.1.29.1 and .3. */
const DEFAULT_SAMPLING_RATE_HZ = 8000;
const DEFAULT_CHANNELS = 1;
/** The newest version of Matroska that RFC 9559 describes. */
const NEWEST_DOC_TYPE_VERSION = 4;
const TRACK_TYPE_VIDEO = 1;
const TRACK_TYPE_AUDIO = 2;

/** What all tracks have. `number` is what blocks refer to; `codecPrivate` is the decoder's setup, if it needs one. */
interface TrackBase {
  number: number;
  codecId: string;
  codecPrivate: Uint8Array | null;
}

/** A track as its TrackEntry describes it (RFC 9559, section 5.1.4.1). The size is the first frame's: a resized source keeps it. */
export type WebmTrack =
  | (TrackBase & { kind: 'video'; widthPx: number; heightPx: number })
  | (TrackBase & { kind: 'audio'; samplingRateHz: number; channels: number })
  | (TrackBase & { kind: 'other' });

/** What Info says about the clock. `durationTicks` is null where it is not known, as in anything just recorded. */
export interface SegmentInfo {
  timestampScaleNs: number;
  durationTicks: number | null;
}

/** Checks that a reader of RFC 8794 version 1 and of the WebM document type can go on. */
export function checkEbmlHeader(data: Uint8Array, offset: number): void {
  let docType = 'matroska';
  for (const { id, data: value } of readElements(data, offset)) {
    if (id === DOC_TYPE) docType = readString(value, 'DocType');
    if (id === EBML_READ_VERSION) refuseAbove(1, readUnsigned(value, 'EBMLReadVersion'), 'EBMLReadVersion');
    if (id === EBML_MAX_ID_LENGTH) refuseAbove(4, readUnsigned(value, 'EBMLMaxIDLength'), 'EBMLMaxIDLength');
    if (id === EBML_MAX_SIZE_LENGTH)
      refuseAbove(8, readUnsigned(value, 'EBMLMaxSizeLength'), 'EBMLMaxSizeLength');
    if (id === DOC_TYPE_READ_VERSION) {
      refuseAbove(NEWEST_DOC_TYPE_VERSION, readUnsigned(value, 'DocTypeReadVersion'), 'DocTypeReadVersion');
    }
  }
  if (docType !== 'webm') {
    throw unsupported(`The document type is ${JSON.stringify(docType)}: expected "webm".`, { docType });
  }
}

/** Reads an Info element's data. */
export function readInfo(data: Uint8Array, offset: number): SegmentInfo {
  const info: SegmentInfo = { timestampScaleNs: DEFAULT_TIMESTAMP_SCALE_NS, durationTicks: null };
  for (const { id, data: value } of readElements(data, offset)) {
    if (id === TIMESTAMP_SCALE) info.timestampScaleNs = readUnsigned(value, 'TimestampScale');
    if (id === DURATION) info.durationTicks = positiveOrNull(readFloat(value, 'Duration'));
  }
  if (info.timestampScaleNs === 0)
    throw invalid('TimestampScale is 0: times would mean nothing.', { offset });
  return info;
}

/** Reads a Tracks element's data. */
export function readTracks(data: Uint8Array, offset: number): WebmTrack[] {
  const tracks: WebmTrack[] = [];
  for (const { id, data: entry } of readElements(data, offset)) {
    if (id !== TRACK_ENTRY) continue;
    const track = readTrackEntry(entry, offset);
    if (tracks.some((other) => other.number === track.number)) {
      throw invalid(`Two tracks have the number ${track.number}.`, { offset, trackNumber: track.number });
    }
    tracks.push(track);
  }
  if (tracks.length === 0) throw invalid('Tracks describes no track.', { offset });
  return tracks;
}

function readTrackEntry(entry: Uint8Array, offset: number): WebmTrack {
  let number = 0;
  let type = 0;
  const base: Omit<TrackBase, 'number'> = { codecId: '', codecPrivate: null };
  const video = { widthPx: 0, heightPx: 0 };
  const audio = { samplingRateHz: DEFAULT_SAMPLING_RATE_HZ, channels: DEFAULT_CHANNELS };
  for (const { id, data } of readElements(entry, offset)) {
    if (id === TRACK_NUMBER) number = readUnsigned(data, 'TrackNumber');
    if (id === TRACK_TYPE) type = readUnsigned(data, 'TrackType');
    if (id === CODEC_ID) base.codecId = readString(data, 'CodecID');
    // A copy, so that the whole of Tracks does not live as long as this part of it.
    if (id === CODEC_PRIVATE) base.codecPrivate = copyBytes(data);
    if (id === CONTENT_ENCODINGS) throw unsupported('A track is compressed or encrypted.', { offset });
    if (id === VIDEO) Object.assign(video, readVideo(data, offset));
    if (id === AUDIO) Object.assign(audio, readAudio(data, offset));
  }
  if (number === 0 || type === 0 || base.codecId === '') {
    throw invalid('A track has no number, type or codec.', { offset, trackNumber: number });
  }
  if (type === TRACK_TYPE_VIDEO) return { kind: 'video', number, ...base, ...video };
  if (type === TRACK_TYPE_AUDIO) return { kind: 'audio', number, ...base, ...audio };
  return { kind: 'other', number, ...base };
}

function readVideo(data: Uint8Array, offset: number): { widthPx?: number; heightPx?: number } {
  const video: { widthPx?: number; heightPx?: number } = {};
  for (const { id, data: value } of readElements(data, offset)) {
    if (id === PIXEL_WIDTH) video.widthPx = readUnsigned(value, 'PixelWidth');
    if (id === PIXEL_HEIGHT) video.heightPx = readUnsigned(value, 'PixelHeight');
  }
  return video;
}

function readAudio(data: Uint8Array, offset: number): { samplingRateHz?: number; channels?: number } {
  const audio: { samplingRateHz?: number; channels?: number } = {};
  for (const { id, data: value } of readElements(data, offset)) {
    if (id === SAMPLING_FREQUENCY) audio.samplingRateHz = readFloat(value, 'SamplingFrequency');
    if (id === CHANNELS) audio.channels = readUnsigned(value, 'Channels');
  }
  return audio;
}

function positiveOrNull(value: number): number | null {
  return value > 0 && Number.isFinite(value) ? value : null;
}

function refuseAbove(newest: number, value: number, name: string): void {
  if (value > newest)
    throw unsupported(`${name} is ${value}: at most ${newest} is understood.`, { name, value });
}
