/**
 * Reading webm as it grows: where the init segment ends, where clusters begin, what time, kind and extent each
 * block has. Writing what stands around the blocks of a whole file. Pure: no sockets, disk, clock or DOM; runs in Node
 * and in browsers.
 */

export { DEFAULT_WEBM_LIMITS, WebmScanner, type WebmLimits } from './webm/scanner.ts';
export type {
  WebmBlock,
  WebmCluster,
  WebmClusterEnd,
  WebmInit,
  WebmItem,
  WebmKeyCluster,
} from './webm/items.ts';
export type { WebmTrack } from './webm/init-segment.ts';
export {
  CLUSTER_HEADER_BYTES,
  encodeClusterHeader,
  encodeFileHead,
  tracksElement,
  type WebmCues,
  type WebmFileHead,
} from './webm/file-writer.ts';
