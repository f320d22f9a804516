// What the scanner reports. All offsets are byte positions in the whole stream; `end` is the first byte after.

import type { WebmTrack } from './init-segment.ts';

/**
 * The bytes `[start, end)` are the initialization segment of the WebM byte stream format (W3C, section 2) with
 * whatever else stands before the first Cluster, whose header makes this known. Comes once, first.
 */
export interface WebmInit {
  type: 'init';
  start: number;
  end: number;
  timestampScaleNs: number;
  /** Null unless Info tells it, which a recorder cannot. */
  durationMs: number | null;
  tracks: WebmTrack[];
}

/**
 * A Cluster whose Timestamp is known. Its header is `[start, dataStart)`; blocks can only follow from
 * `timestampEnd` on, so what is before it is what a rewritten cluster header replaces.
 */
export interface WebmCluster {
  type: 'cluster';
  start: number;
  dataStart: number;
  timestampEnd: number;
  /** In ticks of TimestampScale, as it stands in the file. */
  timestamp: number;
  timestampMs: number;
}

/**
 * The first video block of the cluster at `start` is a keyframe: a player can begin here. Comes as early as the
 * bytes can tell, which for a SimpleBlock is its header, while the picture itself may still be on its way; for a
 * BlockGroup it is the group's end, because a ReferenceBlock may be its last child.
 */
export interface WebmKeyCluster {
  type: 'keyCluster';
  start: number;
  /** Of that block. */
  blockStart: number;
  timestampMs: number;
}

/** A SimpleBlock, or a BlockGroup with its one Block, of which every byte of `[start, end)` has arrived. One frame. */
export interface WebmBlock {
  type: 'block';
  form: 'simple' | 'group';
  start: number;
  end: number;
  clusterStart: number;
  trackNumber: number;
  trackKind: WebmTrack['kind'];
  /** Cluster's timestamp plus the block's own, scaled. */
  timestampMs: number;
  /** Only a BlockGroup can tell it. */
  durationMs: number | null;
  isKeyframe: boolean;
  isInvisible: boolean;
  isDiscardable: boolean;
}

/** The Cluster at `start` ends before byte `end`. Null: it has no video block. */
export interface WebmClusterEnd {
  type: 'clusterEnd';
  start: number;
  end: number;
  firstVideoBlockIsKeyframe: boolean | null;
}

export type WebmItem = WebmInit | WebmCluster | WebmKeyCluster | WebmBlock | WebmClusterEnd;
