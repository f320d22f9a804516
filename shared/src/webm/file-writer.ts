// What stands around the blocks of a webm file that is whole: everything before the first Cluster, and the header of
// each Cluster (RFC 9559). The blocks themselves are copied from where they were recorded.

import { invalid, readElementHeader } from './ebml.ts';
import {
  concatBytes,
  encodeDate,
  encodeElement,
  encodeElementHeader,
  encodeFloat64,
  encodeString,
  encodeUnsigned,
  unsignedBytes,
  WIDE_BYTES,
  writeSize,
  writeUnsigned,
} from './ebml-writer.ts';
import * as ids from './elements.ts';

const APPLICATION = 'Proofcast';
/** BlockAdditionMapping and alpha, which a track of the recorder may have, are of version 4. */
const DOC_TYPE_VERSION = 4;
/** SimpleBlock, which a reader must know, is of version 2. */
const DOC_TYPE_READ_VERSION = 2;
const MAX_ID_BYTES = 4;
/** Enough for any head. */
const SEEK_POSITION_BYTES = 4;

/** Bytes of the header that `writeClusterHeader` writes: id, size, and the Timestamp element. */
export const CLUSTER_HEADER_BYTES = 4 + WIDE_BYTES + 2 + WIDE_BYTES;

/** Clusters that a player can begin at, in the order of the file. */
export interface WebmCues {
  readonly count: number;
  /** Of the picture that the n-th one begins with, in ticks. */
  ticks(n: number): number;
  /** Where it begins, in bytes from the beginning of the first cluster. */
  position(n: number): number;
}

export interface WebmFileHead {
  readonly timestampScaleNs: number;
  readonly durationTicks: number;
  /** Wall clock of tick zero, microseconds since 1970. */
  readonly startsAtUs: number;
  /** The whole Tracks element. */
  readonly tracks: Uint8Array;
  /** Number of the track whose pictures the cues point at. */
  readonly cueTrack: number;
  readonly cues: WebmCues;
  /** Bytes of all clusters. */
  readonly clusterBytes: number;
}

/** The bytes before the first cluster: EBML header, Segment of known size, SeekHead, Info, Tracks, and Cues, if any. */
export function encodeFileHead(head: WebmFileHead): Uint8Array {
  const ebmlHeader = encodeEbmlHeader();
  const info = encodeElement(
    ids.INFO,
    encodeUnsigned(ids.TIMESTAMP_SCALE, head.timestampScaleNs),
    encodeFloat64(ids.DURATION, head.durationTicks),
    encodeDate(ids.DATE_UTC, head.startsAtUs),
    encodeString(ids.MUXING_APP, APPLICATION),
    encodeString(ids.WRITING_APP, APPLICATION),
  );
  const hasCues = head.cues.count > 0;
  const seekHeadBytes = encodeSeekHead({ info: 0, tracks: 0, cues: hasCues ? 0 : null }).length;
  const tracksAt = seekHeadBytes + info.length;
  const cuesAt = tracksAt + head.tracks.length;
  const cues = hasCues ? encodeCues(head, cuesAt) : new Uint8Array();
  const seekHead = encodeSeekHead({ info: seekHeadBytes, tracks: tracksAt, cues: hasCues ? cuesAt : null });
  const segmentBytes = cuesAt + cues.length + head.clusterBytes;
  const segment = encodeElementHeader(ids.SEGMENT, segmentBytes, WIDE_BYTES);
  return concatBytes([ebmlHeader, segment, seekHead, info, head.tracks, cues]);
}

/** The header of a cluster, `CLUSTER_HEADER_BYTES` long, whose blocks take `bodyBytes`. */
export function encodeClusterHeader(timestampTicks: number, bodyBytes: number): Uint8Array {
  const header = new Uint8Array(CLUSTER_HEADER_BYTES);
  const timestampBytes = 2 + WIDE_BYTES;
  writeUnsigned(header, { at: 0, length: 4, value: ids.CLUSTER });
  writeSize(header, { at: 4, length: WIDE_BYTES, value: timestampBytes + bodyBytes });
  header[4 + WIDE_BYTES] = ids.TIMESTAMP;
  writeSize(header, { at: 5 + WIDE_BYTES, length: 1, value: WIDE_BYTES });
  writeUnsigned(header, { at: 6 + WIDE_BYTES, length: WIDE_BYTES, value: timestampTicks });
  return header;
}

/** The whole Tracks element of an init segment that the scanner has accepted. */
export function tracksElement(init: Uint8Array): Uint8Array {
  let position = 0;
  while (position < init.length) {
    const { id, size, length } = readElementHeader(init.subarray(position), position);
    if (id === ids.TRACKS) return init.subarray(position, position + length + (size ?? 0));
    position += id === ids.SEGMENT ? length : length + (size ?? 0);
  }
  throw invalid('The init segment has no Tracks.', {});
}

function encodeEbmlHeader(): Uint8Array {
  return encodeElement(
    ids.EBML,
    encodeUnsigned(ids.EBML_VERSION, 1),
    encodeUnsigned(ids.EBML_READ_VERSION, 1),
    encodeUnsigned(ids.EBML_MAX_ID_LENGTH, MAX_ID_BYTES),
    encodeUnsigned(ids.EBML_MAX_SIZE_LENGTH, WIDE_BYTES),
    encodeString(ids.DOC_TYPE, 'webm'),
    encodeUnsigned(ids.DOC_TYPE_VERSION, DOC_TYPE_VERSION),
    encodeUnsigned(ids.DOC_TYPE_READ_VERSION, DOC_TYPE_READ_VERSION),
  );
}

/** Positions are bytes from the beginning of the Segment's data (RFC 9559, section 5.1.1.1). */
function encodeSeekHead(positions: { info: number; tracks: number; cues: number | null }): Uint8Array {
  const seek = (id: number, position: number): Uint8Array => {
    const idBytes = new Uint8Array(unsignedBytes(id));
    writeUnsigned(idBytes, { at: 0, length: idBytes.length, value: id });
    const place = encodeUnsigned(ids.SEEK_POSITION, position, SEEK_POSITION_BYTES);
    return encodeElement(ids.SEEK, encodeElement(ids.SEEK_ID, idBytes), place);
  };
  const seeks = [seek(ids.INFO, positions.info), seek(ids.TRACKS, positions.tracks)];
  if (positions.cues !== null) seeks.push(seek(ids.CUES, positions.cues));
  return encodeElement(ids.SEEK_HEAD, ...seeks);
}

/**
 * One CuePoint for each, all of the same length, so that the positions can be known before they are written.
 *
 *   BB size [ B3 size time ] [ B7 size [ F7 size track ] [ F1 size position ] ]
 */
function encodeCues({ cues, cueTrack, clusterBytes }: WebmFileHead, cuesAt: number): Uint8Array {
  const { count } = cues;
  const trackLength = unsignedBytes(cueTrack);
  const timeLength = unsignedBytes(largestTicks(cues));
  const pointBytes = (positionLength: number): number =>
    2 + 2 + timeLength + 2 + 2 + trackLength + 2 + positionLength;
  // The longest position is shorter than all of this.
  const mostBytes = cuesAt + MAX_HEADER_BYTES + count * pointBytes(WIDE_BYTES) + clusterBytes;
  const positionLength = unsignedBytes(mostBytes);
  const points = new Uint8Array(count * pointBytes(positionLength));
  const header = encodeElementHeader(ids.CUES, points.length);
  const clustersAt = cuesAt + header.length + points.length;
  const positionsBytes = 2 + trackLength + 2 + positionLength;
  let at = 0;
  const put = (id: number, length: number): void => {
    points[at] = id;
    points[at + 1] = 0x80 | length;
    at += 2;
  };
  const putUnsigned = (id: number, length: number, value: number): void => {
    put(id, length);
    writeUnsigned(points, { at, length, value });
    at += length;
  };
  for (let n = 0; n < count; n++) {
    put(ids.CUE_POINT, pointBytes(positionLength) - 2);
    putUnsigned(ids.CUE_TIME, timeLength, cues.ticks(n));
    put(ids.CUE_TRACK_POSITIONS, positionsBytes);
    putUnsigned(ids.CUE_TRACK, trackLength, cueTrack);
    putUnsigned(ids.CUE_CLUSTER_POSITION, positionLength, clustersAt + cues.position(n));
  }
  return concatBytes([header, points]);
}

const MAX_HEADER_BYTES = 12;

function largestTicks(cues: WebmCues): number {
  let largest = 0;
  for (let n = 0; n < cues.count; n++) largest = Math.max(largest, cues.ticks(n));
  return largest;
}
