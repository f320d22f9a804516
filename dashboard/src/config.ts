/** Every limit, time and size that the dashboard works with, side by side. */
import type { ReconnectLimits } from '@proofcast/shared';

export const REQUEST_TIMEOUT_MS = 10_000;

/** How often the server is asked whether it is back, once a request could not reach it. */
export const REACHABILITY_PROBE_MS = 2_000;

/** The wall over plain HTTP, where a websocket does not come up. */
export const STREAM_POLL_MS = 3_000;
/** A quiet websocket is checked against the list by HTTP: a dead connection looks just as quiet. */
export const QUIET_SOCKET_CHECK_MS = 20_000;
/** What a view websocket may take from the ticket to its first message. */
export const VIEW_SOCKET_OPEN_MS = 5_000;
/** A connection that is silent for so long after `watch` is taken for dead. Shorter than `firstFrameMs`. */
export const WATCH_ANSWER_MS = 6_000;
export const VIEW_RECONNECT: ReconnectLimits = { initialDelayMs: 250, maxDelayMs: 10_000 };

/** Signalling of the SFU. */
export const SFU_CONNECT_MS = 4_000;
export const SFU_REQUEST_MS = 8_000;
/** The token is renewed when this share of its life has passed. */
export const SFU_TOKEN_RENEWAL_SHARE = 0.75;
/** Tokens that claim to live shorter are not renewed any faster: no loop of renewals, whatever the relay is set to. */
export const MIN_TOKEN_LIFE_MS = 20_000;
/** After a failed attempt to connect, further ones fail at once for this long: tiles do not storm a dead server. */
export const SFU_RECONNECT: ReconnectLimits = { initialDelayMs: 200, maxDelayMs: 8_000 };

/** How often the SFU is told what the pictures are like. */
export const SFU_REPORT_MS = 5_000;
/** A picture that lived this long and is lost with a worker of the SFU is asked for again at once. */
export const SFU_REJOIN_AFTER_MS = 1_000;

export interface PlayerLimits {
  /** WebRTC has this long for its first picture before the relay is started beside it. */
  readonly relayHeadStartMs: number;
  /** An attempt without a picture in this time has failed. */
  readonly firstFrameMs: number;
  /** A page without a picture says so after this time, whatever is still being tried. */
  readonly noPictureMs: number;
  /** A WebRTC picture that lived this long was a good one: the next loss starts with short retries again. */
  readonly stableMs: number;
  /** After an unstable picture, the next one must move this long before it replaces the relay's. */
  readonly settleMs: number;
  readonly webrtcRetry: ReconnectLimits;
  readonly relayRetry: ReconnectLimits;
}

export const PLAYER_LIMITS: PlayerLimits = {
  relayHeadStartMs: 2_000,
  firstFrameMs: 8_000,
  noPictureMs: 10_000,
  stableMs: 10_000,
  settleMs: 4_000,
  webrtcRetry: { initialDelayMs: 300, maxDelayMs: 30_000 },
  relayRetry: { initialDelayMs: 300, maxDelayMs: 10_000 },
};

/** A WebRTC picture that stands still this long is lost. A still screen is repeated about once a second. */
export const WEBRTC_FREEZE_MS = 5_000;
/** ICE may find its way back within this time before the relay takes over. */
export const WEBRTC_DISCONNECT_GRACE_MS = 2_000;
export const WEBRTC_STATS_MS = 1_000;

export interface LiveEdgeLimits {
  /** How much is kept in front of the playhead, at best and at worst, in seconds. */
  readonly minTargetS: number;
  readonly maxTargetS: number;
  /** What the target grows by, at least, when the buffer ran dry. */
  readonly targetStepUpS: number;
  /** After each calm while it shrinks by this share of what it is above its least, and by one step at least. */
  readonly calmS: number;
  readonly targetShrinkShare: number;
  readonly targetStepDownS: number;
  /** Farther behind than this, playing faster would take too long: jump. */
  readonly jumpBehindS: number;
  /** The same for a picture that has only just begun, where a jump disturbs nobody. */
  readonly youngJumpBehindS: number;
  readonly youngS: number;
  readonly maxPlaybackRate: number;
  /** What stays behind the playhead once more than `maxBehindS` is there. */
  readonly keepBehindS: number;
  readonly maxBehindS: number;
}

export const LIVE_EDGE_LIMITS: LiveEdgeLimits = {
  minTargetS: 0.3,
  maxTargetS: 2.4,
  targetStepUpS: 0.15,
  calmS: 5,
  targetShrinkShare: 0.2,
  targetStepDownS: 0.05,
  jumpBehindS: 3,
  youngJumpBehindS: 0.9,
  youngS: 3,
  maxPlaybackRate: 1.1,
  keepBehindS: 10,
  maxBehindS: 30,
};

/** How often the live edge is looked after when nothing arrives. */
export const LIVE_EDGE_TICK_MS = 250;
/** Bytes that may wait for the SourceBuffer before the path is given up. */
export const MAX_APPEND_QUEUE_BYTES = 24 * 1024 * 1024;
/** A stream that is live, watched, and silent for this long through the relay is lost. */
export const RELAY_SILENCE_MS = 8_000;

/** A player that no view shows any more waits this long for the next view before it is closed. */
export const PLAYER_LINGER_MS = 1_500;

/** The grid never decodes more than this many streams at a time; the rest is on further pages. */
export const MAX_TILES_PER_PAGE = 16;

export const RECORDINGS_PAGE_SIZE = 50;
export const RECORDINGS_REFRESH_MS = 5_000;
/** A recording of which something is being made that takes seconds is looked at again this often. */
export const RECORDING_REFRESH_MS = 2_000;
/** One that grows, or that waits for its device, is looked at this often. */
export const GROWING_RECORDING_REFRESH_MS = 5_000;
export const ENROLMENT_POLL_MS = 2_500;

export const PLAYBACK_RATES = [0.25, 0.5, 0.75, 1, 1.5, 2, 4, 8, 16] as const;

/** Shorter gaps are played: a jump would disturb more than it saves. */
export const MIN_SKIPPED_GAP_MS = 1_500;
/** The last picture before a gap stays this long before the gap is skipped. */
export const LAST_PICTURE_MS = 400;
/** How long the player says that it has skipped a gap. */
export const SKIP_NOTICE_MS = 4_000;
/** Marks of events on the timeline are put together until there are no more than this. */
export const MAX_TIMELINE_MARKS = 200;
/** Entries of a list of gaps or events that are shown at first, and how many more at a time. */
export const LISTED_MOMENTS = 50;

export const TOMBSTONES_PAGE_SIZE = 50;
