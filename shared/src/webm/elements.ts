// Which EBML elements the scanner knows, and where each may stand. Ids are written as in RFC 9559 (Matroska),
// section 5, with their length marker.

export const EBML = 0x1a45dfa3;
export const EBML_VERSION = 0x4286;
export const DOC_TYPE = 0x4282;
export const DOC_TYPE_VERSION = 0x4287;
export const DOC_TYPE_READ_VERSION = 0x4285;
export const EBML_READ_VERSION = 0x42f7;
export const EBML_MAX_ID_LENGTH = 0x42f2;
export const EBML_MAX_SIZE_LENGTH = 0x42f3;

export const SEGMENT = 0x18538067;
export const SEEK_HEAD = 0x114d9b74;
export const INFO = 0x1549a966;
export const TRACKS = 0x1654ae6b;
export const CLUSTER = 0x1f43b675;
export const CUES = 0x1c53bb6b;
export const ATTACHMENTS = 0x1941a469;
export const CHAPTERS = 0x1043a770;
export const TAGS = 0x1254c367;

export const TIMESTAMP_SCALE = 0x2ad7b1;
export const DURATION = 0x4489;
export const DATE_UTC = 0x4461;
export const MUXING_APP = 0x4d80;
export const WRITING_APP = 0x5741;

export const SEEK = 0x4dbb;
export const SEEK_ID = 0x53ab;
export const SEEK_POSITION = 0x53ac;

export const CUE_POINT = 0xbb;
export const CUE_TIME = 0xb3;
export const CUE_TRACK_POSITIONS = 0xb7;
export const CUE_TRACK = 0xf7;
export const CUE_CLUSTER_POSITION = 0xf1;

export const TRACK_ENTRY = 0xae;
export const TRACK_NUMBER = 0xd7;
export const TRACK_TYPE = 0x83;
export const CODEC_ID = 0x86;
export const CODEC_PRIVATE = 0x63a2;
export const CONTENT_ENCODINGS = 0x6d80;
export const VIDEO = 0xe0;
export const PIXEL_WIDTH = 0xb0;
export const PIXEL_HEIGHT = 0xba;
export const AUDIO = 0xe1;
export const SAMPLING_FREQUENCY = 0xb5;
export const CHANNELS = 0x9f;

export const TIMESTAMP = 0xe7;
export const SILENT_TRACKS = 0x5854;
export const POSITION = 0xa7;
export const PREV_SIZE = 0xab;
export const SIMPLE_BLOCK = 0xa3;
export const ENCRYPTED_BLOCK = 0xaf;
export const BLOCK_GROUP = 0xa0;
export const BLOCK = 0xa1;
export const BLOCK_VIRTUAL = 0xa2;
export const BLOCK_ADDITIONS = 0x75a1;
export const BLOCK_MORE = 0xa6;
export const BLOCK_ADD_ID = 0xee;
export const BLOCK_ADDITIONAL = 0xa5;
export const BLOCK_DURATION = 0x9b;
export const REFERENCE_PRIORITY = 0xfa;
export const REFERENCE_BLOCK = 0xfb;
export const REFERENCE_VIRTUAL = 0xfd;
export const CODEC_STATE = 0xa4;
export const DISCARD_PADDING = 0x75a2;
export const SLICES = 0x8e;
export const REFERENCE_FRAME = 0xc8;

export const VOID = 0xec;
export const CRC_32 = 0xbf;

/**
 * Where an element may stand. `additions` and `more` are in BlockAdditions and in each of its children; `anywhere` are
 * RFC 8794's global elements, `unknown` those not listed here.
 */
export type Place = 'root' | 'segment' | 'cluster' | 'group' | 'additions' | 'more' | 'anywhere' | 'unknown';

const PLACES: ReadonlyMap<number, Place> = new Map<number, Place>([
  ...placed('root', [EBML, SEGMENT]),
  ...placed('segment', [SEEK_HEAD, INFO, TRACKS, CLUSTER, CUES, ATTACHMENTS, CHAPTERS, TAGS]),
  ...placed('cluster', [
    TIMESTAMP,
    SILENT_TRACKS,
    POSITION,
    PREV_SIZE,
    SIMPLE_BLOCK,
    ENCRYPTED_BLOCK,
    BLOCK_GROUP,
  ]),
  ...placed('group', [
    BLOCK,
    BLOCK_VIRTUAL,
    BLOCK_ADDITIONS,
    BLOCK_DURATION,
    REFERENCE_PRIORITY,
    REFERENCE_BLOCK,
  ]),
  ...placed('additions', [BLOCK_MORE]),
  ...placed('more', [BLOCK_ADD_ID, BLOCK_ADDITIONAL]),
  ...placed('group', [REFERENCE_VIRTUAL, CODEC_STATE, DISCARD_PADDING, SLICES, REFERENCE_FRAME]),
  ...placed('anywhere', [VOID, CRC_32]),
]);

/** Where the element with this id may stand, for the elements from the root down to the additions of a block. */
export function placeOf(id: number): Place {
  return PLACES.get(id) ?? 'unknown';
}

/** An id as people write it, for messages: `0xA3`. */
export function formatId(id: number): string {
  return `0x${id.toString(16).toUpperCase()}`;
}

function placed(place: Place, ids: number[]): [number, Place][] {
  return ids.map((id) => [id, place]);
}
