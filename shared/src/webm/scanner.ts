// The incremental scanner: what the elements of a webm stream mean (RFC 9559), item by item. It holds a few
// numbers and, while they arrive, the header elements; never a payload.

import { blockHeaderLength, MIN_BLOCK_HEADER_BYTES, readBlockHeader, type BlockHeader } from './block.ts';
import { invalid, MAX_NUMBER_BYTES, readUnsigned, unsupported } from './ebml.ts';
import { ElementWalk, type OpenElement } from './element-walk.ts';
import * as ids from './elements.ts';
import { checkEbmlHeader, readInfo, readTracks, type SegmentInfo, type WebmTrack } from './init-segment.ts';
import type { WebmClusterEnd, WebmItem } from './items.ts';

export interface WebmLimits {
  /** The largest element that is held whole to be read (EBML header, Info, Tracks): bounds the scanner's memory. */
  maxHeldElementBytes: number;
  /** The largest other element (block, Cues, Tags, …): bounds how far a wrong size can lead astray. */
  maxPassedElementBytes: number;
}

export const DEFAULT_WEBM_LIMITS: Readonly<WebmLimits> = {
  maxHeldElementBytes: 1024 * 1024,
  maxPassedElementBytes: 64 * 1024 * 1024,
};

/** Where a parent of unknown size ends, as long as nothing else says so. */
const NO_END = Number.POSITIVE_INFINITY;

interface OpenCluster {
  start: number;
  dataStart: number;
  end: number;
  isSizeKnown: boolean;
  /** In ticks; null until the Timestamp has arrived. */
  timestamp: number | null;
  firstVideoBlockIsKeyframe: boolean | null;
  /** Where its last whole child ends. */
  wholeEnd: number;
}

/** BlockAdditions or a BlockMore: nothing of it is reported, but a reader that enters it must find elements there. */
interface OpenAdditions {
  place: 'additions' | 'more';
  end: number;
}

interface OpenGroup {
  start: number;
  end: number;
  block: BlockHeader | null;
  hasReference: boolean;
  duration: number | null;
}

/**
 * Scans one webm stream (one EBML header, one Segment) as it arrives, with known or unknown sizes of Segment and
 * Clusters. The items do not depend on how the stream is cut: each comes out of the `push` that brings the byte
 * which makes it known.
 *
 * Fails with WEBM_INVALID where the bytes are not webm, and with WEBM_UNSUPPORTED for lacing, encryption,
 * compression, blocks without a frame, another document type, an element above its limit, and a second EBML header (an epoch of its own
 * needs a scanner of its own). A failed scanner stays failed: `push` throws the same error again.
 */
export class WebmScanner {
  readonly #limits: WebmLimits;
  readonly #walk: ElementWalk;
  #items: WebmItem[] = [];
  #failure: { error: unknown } | null = null;

  #hasEbmlHeader = false;
  #info: SegmentInfo | null = null;
  #tracks: Map<number, WebmTrack> | null = null;
  #hasInit = false;

  #segment: 'before' | { end: number } | 'after' = 'before';
  #cluster: OpenCluster | null = null;
  #group: OpenGroup | null = null;
  /** Innermost last. */
  #additions: OpenAdditions[] = [];
  #simpleBlock: BlockHeader | null = null;

  constructor(options: { limits?: Partial<WebmLimits> } = {}) {
    this.#limits = { ...DEFAULT_WEBM_LIMITS, ...options.limits };
    this.#walk = new ElementWalk({
      begin: (element) => this.#begin(element),
      read: (element, data) => this.#read(element, data),
      end: (element) => this.#end(element),
    });
  }

  /** Bytes scanned so far; after a failure, where it was noticed. */
  get offset(): number {
    return this.#walk.offset;
  }

  /**
   * Takes the next bytes of the stream and returns what they complete. Keeps no reference to them.
   * Throws CodedError; what this call had found before the fault then comes from `finish`.
   */
  push(bytes: Uint8Array): WebmItem[] {
    if (this.#failure !== null) throw this.#failure.error;
    try {
      this.#walk.push(bytes);
    } catch (error) {
      this.#failure = { error };
      throw error;
    }
    const items = this.#items;
    this.#items = [];
    return items;
  }

  /**
   * What is still owed if the stream ends here: after a failure, the items found before the fault; and the end of
   * the open cluster, after its last whole block. What follows that, up to `offset`, is a torn tail, and no error.
   * Changes nothing: more may be pushed after it, and then the cluster's end is told again, further on.
   */
  finish(): WebmItem[] {
    const cluster = this.#cluster;
    if (cluster === null || cluster.timestamp === null) return [...this.#items];
    return [...this.#items, clusterEnd(cluster, cluster.wholeEnd)];
  }

  #begin(element: OpenElement): 'enter' | 'pass' | number {
    const { id, start, dataStart } = element;
    const place = ids.placeOf(id);
    // RFC 8794, section 6.2: what cannot stand in an element of unknown size ends it.
    if (place === 'segment' && this.#group === null && this.#cluster?.isSizeKnown === false) {
      this.#endCluster(this.#cluster, start);
    }
    this.#checkPlace(element, place);
    const parentEnd =
      this.#additions.at(-1)?.end ?? this.#group?.end ?? this.#cluster?.end ?? this.#segmentEnd;
    const end = element.end ?? parentEnd;
    if (end > parentEnd) {
      throw invalid(`${ids.formatId(id)} at byte ${start} ends at ${end}, after its parent.`, {
        offset: start,
      });
    }
    if (id === ids.SEGMENT || id === ids.CLUSTER) {
      if (id === ids.SEGMENT) this.#segment = { end };
      else this.#beginCluster(element, end);
      this.#endParents(dataStart);
      return 'enter';
    }
    if (element.end === null) {
      throw invalid(`${ids.formatId(id)} at byte ${start} has no size: only Segment and Cluster may.`, {
        offset: start,
      });
    }
    if (id === ids.BLOCK_GROUP) {
      this.#checkSize(element, end - dataStart, this.#limits.maxPassedElementBytes);
      this.#group = { start, end, block: null, hasReference: false, duration: null };
      this.#endParents(dataStart);
      return 'enter';
    }
    if (id === ids.BLOCK_ADDITIONS || id === ids.BLOCK_MORE) {
      this.#checkSize(element, end - dataStart, this.#limits.maxPassedElementBytes);
      this.#additions.push({ place: id === ids.BLOCK_MORE ? 'more' : 'additions', end });
      this.#endParents(dataStart);
      return 'enter';
    }
    return this.#wantedBytes(element, end - dataStart);
  }

  #checkPlace({ id, start }: OpenElement, place: ids.Place): void {
    if (id === ids.EBML && this.#hasEbmlHeader) {
      throw unsupported(`A second EBML header is at byte ${start}: expected one recording.`, {
        offset: start,
      });
    }
    if (!this.#hasEbmlHeader && id !== ids.EBML) {
      throw invalid(`The stream begins with ${ids.formatId(id)}: expected an EBML header.`, {
        offset: start,
      });
    }
    const parent = this.#currentPlace;
    const isAllowed = place === 'anywhere' || place === parent || (place === 'unknown' && parent !== 'root');
    if (!isAllowed || (id === ids.SEGMENT && this.#segment === 'after')) {
      throw invalid(`${ids.formatId(id)} at byte ${start} has no place there.`, { offset: start, parent });
    }
  }

  /** How much of a leaf's data is read. */
  #wantedBytes(element: OpenElement, size: number): 'pass' | number {
    const { id, start } = element;
    switch (id) {
      case ids.EBML:
      case ids.INFO:
      case ids.TRACKS:
        this.#checkSize(element, size, this.#limits.maxHeldElementBytes);
        return size;
      case ids.TIMESTAMP:
      case ids.BLOCK_DURATION:
        if (size <= MAX_NUMBER_BYTES) return size;
        throw invalid(`The number at byte ${start} cannot be ${size} bytes long.`, { offset: start, size });
      case ids.REFERENCE_BLOCK:
      case ids.DISCARD_PADDING:
      case ids.BLOCK_ADD_ID:
        if (size <= MAX_NUMBER_BYTES) return 'pass';
        throw invalid(`The number at byte ${start} cannot be ${size} bytes long.`, { offset: start, size });
      case ids.SIMPLE_BLOCK:
      case ids.BLOCK:
        this.#checkSize(element, size, this.#limits.maxPassedElementBytes);
        if (size >= MIN_BLOCK_HEADER_BYTES) return MIN_BLOCK_HEADER_BYTES;
        throw invalid(`The block at byte ${start} is shorter than its header.`, { offset: start, size });
      case ids.ENCRYPTED_BLOCK:
        throw unsupported(`The block at byte ${start} is encrypted.`, { offset: start });
      default:
        this.#checkSize(element, size, this.#limits.maxPassedElementBytes);
        return 'pass';
    }
  }

  #read(element: OpenElement, data: Uint8Array): number {
    switch (element.id) {
      case ids.EBML:
        checkEbmlHeader(data, element.start);
        this.#hasEbmlHeader = true;
        return data.length;
      case ids.INFO:
        this.#info = onlyOne(this.#info, element) ?? readInfo(data, element.start);
        return data.length;
      case ids.TRACKS:
        this.#tracks = onlyOne(this.#tracks, element) ?? byNumber(readTracks(data, element.start));
        return data.length;
      case ids.TIMESTAMP:
        this.#readTimestamp(element, data);
        return data.length;
      case ids.BLOCK_DURATION:
        open(this.#group).duration = readUnsigned(data, 'BlockDuration');
        return data.length;
      default:
        return this.#readBlock(element, data);
    }
  }

  #end(element: OpenElement): void {
    if (element.id === ids.SIMPLE_BLOCK) this.#endSimpleBlock(element);
    if (element.id === ids.REFERENCE_BLOCK) open(this.#group).hasReference = true;
    this.#endParents(this.offset);
  }

  /** Ends the parents whose last byte is before `offset`, innermost first. */
  #endParents(offset: number): void {
    while (this.#additions.at(-1)?.end === offset) this.#additions.pop();
    if (this.#group?.end === offset) this.#endGroup(this.#group);
    if (this.#group === null && this.#cluster !== null) {
      this.#cluster.wholeEnd = offset;
      if (this.#cluster.end === offset) this.#endCluster(this.#cluster, offset);
    }
    if (this.#segmentEnd === offset) this.#segment = 'after';
  }

  #beginCluster({ start, dataStart, end: knownEnd }: OpenElement, end: number): void {
    if (!this.#hasInit) this.#reportInit(start);
    this.#cluster = {
      start,
      dataStart,
      end,
      isSizeKnown: knownEnd !== null,
      timestamp: null,
      firstVideoBlockIsKeyframe: null,
      wholeEnd: dataStart,
    };
  }

  #reportInit(end: number): void {
    if (this.#info === null || this.#tracks === null) {
      throw invalid(`The first Cluster, at byte ${end}, comes before Info or Tracks.`, { offset: end });
    }
    const { timestampScaleNs, durationTicks } = this.#info;
    const durationMs = durationTicks === null ? null : this.#toMs(durationTicks);
    const tracks = [...this.#tracks.values()];
    this.#items.push({ type: 'init', start: 0, end, timestampScaleNs, durationMs, tracks });
    this.#hasInit = true;
  }

  #readTimestamp(element: OpenElement, data: Uint8Array): void {
    const cluster = open(this.#cluster);
    onlyOne(cluster.timestamp, element);
    const timestamp = readUnsigned(data, 'Timestamp');
    cluster.timestamp = timestamp;
    const { start, dataStart } = cluster;
    const timestampMs = this.#toMs(timestamp);
    this.#items.push({
      type: 'cluster',
      start,
      dataStart,
      timestampEnd: this.offset,
      timestamp,
      timestampMs,
    });
  }

  #readBlock(element: OpenElement, data: Uint8Array): number {
    const { id, start, dataStart, end } = element;
    const length = blockHeaderLength(data, start);
    if (dataStart + length > (end ?? NO_END)) {
      throw invalid(`The block at byte ${start} is shorter than its header.`, { offset: start });
    }
    if (length > data.length) return length;
    const header = readBlockHeader(data, start);
    if (open(this.#cluster).timestamp === null) {
      throw invalid(`The block at byte ${start} comes before its Cluster's Timestamp.`, { offset: start });
    }
    if (this.#tracks?.has(header.trackNumber) !== true) {
      throw invalid(
        `The block at byte ${start} is of track ${header.trackNumber}: Tracks does not describe it.`,
        {
          offset: start,
          trackNumber: header.trackNumber,
        },
      );
    }
    // Some readers pass over it, and would count other frames.
    if (dataStart + length === end) {
      throw unsupported(`The block at byte ${start} holds no frame.`, { offset: start });
    }
    if (id === ids.BLOCK) {
      const group = open(this.#group);
      group.block = onlyOne(group.block, element) ?? header;
    } else {
      this.#simpleBlock = header;
      this.#noteFirstVideoBlock(start, header, header.isKeyframe);
    }
    return length;
  }

  #endSimpleBlock({ start }: OpenElement): void {
    const header = open(this.#simpleBlock);
    this.#items.push({
      type: 'block',
      form: 'simple',
      start,
      end: this.offset,
      clusterStart: open(this.#cluster).start,
      trackNumber: header.trackNumber,
      trackKind: this.#kindOf(header),
      timestampMs: this.#timeOf(header),
      durationMs: null,
      isKeyframe: header.isKeyframe,
      isInvisible: header.isInvisible,
      isDiscardable: header.isDiscardable,
    });
  }

  #endGroup({ start, end, block, hasReference, duration }: OpenGroup): void {
    if (block === null) throw invalid(`The BlockGroup at byte ${start} has no Block.`, { offset: start });
    this.#group = null;
    this.#noteFirstVideoBlock(start, block, !hasReference);
    this.#items.push({
      type: 'block',
      form: 'group',
      start,
      end,
      clusterStart: open(this.#cluster).start,
      trackNumber: block.trackNumber,
      trackKind: this.#kindOf(block),
      timestampMs: this.#timeOf(block),
      durationMs: duration === null ? null : this.#toMs(duration),
      isKeyframe: !hasReference,
      isInvisible: block.isInvisible,
      isDiscardable: false,
    });
  }

  #noteFirstVideoBlock(blockStart: number, header: BlockHeader, isKeyframe: boolean): void {
    const cluster = open(this.#cluster);
    if (cluster.firstVideoBlockIsKeyframe !== null || this.#kindOf(header) !== 'video') return;
    cluster.firstVideoBlockIsKeyframe = isKeyframe;
    if (!isKeyframe) return;
    const { start } = cluster;
    this.#items.push({ type: 'keyCluster', start, blockStart, timestampMs: this.#timeOf(header) });
  }

  #endCluster(cluster: OpenCluster, end: number): void {
    if (cluster.timestamp === null) {
      throw invalid(`The Cluster at byte ${cluster.start} has no Timestamp.`, { offset: cluster.start });
    }
    this.#cluster = null;
    this.#items.push(clusterEnd(cluster, end));
  }

  get #currentPlace(): ids.Place {
    const additions = this.#additions.at(-1);
    if (additions !== undefined) return additions.place;
    if (this.#group !== null) return 'group';
    if (this.#cluster !== null) return 'cluster';
    return typeof this.#segment === 'object' ? 'segment' : 'root';
  }

  get #segmentEnd(): number {
    return typeof this.#segment === 'object' ? this.#segment.end : NO_END;
  }

  #checkSize({ id, start }: OpenElement, size: number, limit: number): void {
    if (size <= limit) return;
    throw unsupported(`${ids.formatId(id)} at byte ${start} has ${size} bytes: at most ${limit} are taken.`, {
      offset: start,
      size,
      limit,
    });
  }

  #kindOf({ trackNumber }: BlockHeader): WebmTrack['kind'] {
    return this.#tracks?.get(trackNumber)?.kind ?? 'other';
  }

  #timeOf({ relativeTimestamp }: BlockHeader): number {
    return this.#toMs((open(this.#cluster).timestamp ?? 0) + relativeTimestamp);
  }

  #toMs(ticks: number): number {
    return (ticks * (this.#info?.timestampScaleNs ?? 0)) / 1e6;
  }
}

/** The parent or block that is open here, as `#checkPlace` made sure. */
function open<T>(value: T | null): T {
  if (value === null) throw new Error('An element was taken outside its parent.');
  return value;
}

/** Passes null on; refuses a second element where one is expected. */
function onlyOne(value: unknown, { id, start }: OpenElement): null {
  if (value === null) return null;
  throw unsupported(`A second ${ids.formatId(id)} is at byte ${start}: expected one.`, { offset: start });
}

function byNumber(tracks: WebmTrack[]): Map<number, WebmTrack> {
  return new Map(tracks.map((track) => [track.number, track]));
}

function clusterEnd({ start, firstVideoBlockIsKeyframe }: OpenCluster, end: number): WebmClusterEnd {
  return { type: 'clusterEnd', start, end, firstVideoBlockIsKeyframe };
}
