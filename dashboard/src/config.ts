/** Every limit, time and size that the dashboard works with, side by side. */
import type { ReconnectLimits } from '@proofcast/shared';
import type { PathName } from './player/video-path.ts';

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
/** Between two attempts to connect. Until the next one whatever needs a connection fails at once. */
export const SFU_RECONNECT: ReconnectLimits = { initialDelayMs: 200, maxDelayMs: 8_000 };
/** A connection that has lasted so long was a good one: the next attempt is the first one again. */
export const SFU_CONNECTION_STABLE_MS = 10_000;

/** How often the SFU is told what the pictures are like. */
export const SFU_REPORT_MS = 5_000;
/** A picture that lived this long and is lost with a worker of the SFU is asked for again at once. */
export const SFU_REJOIN_AFTER_MS = 1_000;

/** A picture that is shown no wider, in pixels of the device, is as good in the smallest layer. */
export const SMALL_PICTURE_MAX_PX = 640;
/** Of the stream that is shown alone, against 1 for all others. */
export const FOCUS_PRIORITY = 10;

export interface TierLimits {
  /** The better tiers have this long for their first picture before this one is started beside them. */
  readonly headStartMs: number;
  /** An attempt without a picture in this time has failed. */
  readonly firstFrameMs: number;
  readonly retry: ReconnectLimits;
}

export interface PlayerLimits {
  /** Paths of one stream that are open at a time, whatever is being tried. */
  readonly maxOpenPaths: number;
  /** A page without a picture says so after this time, whatever is still being tried. */
  readonly noPictureMs: number;
  /** A picture that lived this long was a good one. */
  readonly stableMs: number;
  /** After a loss, the next picture of that tier must move this long before it replaces another one. */
  readonly settleMs: number;
  /** The same doubles with each picture that was not stable, up to this. */
  readonly maxSettleMs: number;
}

export const PLAYER_LIMITS: PlayerLimits = {
  maxOpenPaths: 3,
  noPictureMs: 10_000,
  stableMs: 10_000,
  settleMs: 4_000,
  maxSettleMs: 60_000,
};

export const TIER_LIMITS: Readonly<Record<PathName, TierLimits>> = {
  webrtc: {
    headStartMs: 0,
    firstFrameMs: 8_000,
    retry: { initialDelayMs: 300, maxDelayMs: 30_000 },
  },
  relay: {
    headStartMs: 1_500,
    firstFrameMs: 8_000,
    retry: { initialDelayMs: 300, maxDelayMs: 10_000 },
  },
  http: {
    headStartMs: 3_000,
    firstFrameMs: 8_000,
    retry: { initialDelayMs: 500, maxDelayMs: 15_000 },
  },
  stills: {
    headStartMs: 5_000,
    firstFrameMs: 9_000,
    retry: { initialDelayMs: 1_000, maxDelayMs: 15_000 },
  },
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
  /** With this much more than the target in front of the playhead, playing faster would take too long: jump. */
  readonly jumpExcessS: number;
  /** The same for a picture that has only just begun, where a jump disturbs nobody. */
  readonly youngJumpExcessS: number;
  readonly youngS: number;
  readonly maxPlaybackRate: number;
  /** With less than `lowAheadS` in front of the playhead it plays at the lowest rate, so as not to run dry. */
  readonly minPlaybackRate: number;
  readonly lowAheadS: number;
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
  jumpExcessS: 1.5,
  youngJumpExcessS: 0.6,
  youngS: 3,
  maxPlaybackRate: 1.05,
  minPlaybackRate: 0.97,
  lowAheadS: 0.1,
  keepBehindS: 10,
  maxBehindS: 30,
};

/** How often the live edge is looked after when nothing arrives. */
export const LIVE_EDGE_TICK_MS = 250;
/** Bytes that may wait for the SourceBuffer before the path is given up. */
export const MAX_APPEND_QUEUE_BYTES = 24 * 1024 * 1024;
/** A stream that is live, watched, and silent for this long through the relay is lost. */
export const RELAY_SILENCE_MS = 8_000;
/** The playhead of the relay's picture that stands still this long although there is media in front of it is stuck. */
export const RELAY_FREEZE_MS = 5_000;
/** A timer that is late by more than this means that the machine or the page was asleep. */
export const SLEEP_MS = 3_000;

/**
 * Streamed bodies of a page at a time: over HTTP/1.1 a browser opens six connections to a host, and lists, stills and
 * everything else need some of them.
 */
export const MAX_HTTP_BODIES = 3;
/** A body on which not even the sign of life comes that the relay sends every ten seconds is dead. */
export const HTTP_BODY_SILENCE_MS = 25_000;

/** How often a still picture is asked for; the publisher is asked for one every two seconds. */
export const STILL_INTERVAL_MS = 2_000;
/** The same while there is none yet. */
export const STILL_FIRST_INTERVAL_MS = 500;
/** What a still may take from the request to its last byte. */
export const STILL_REQUEST_MS = 8_000;
/** Requests that may fail one after the other before stills are given up. */
export const MAX_STILL_FAILURES = 3;
/** A stream that is live and of which no newer picture comes for so long is lost. */
export const STILL_SILENCE_MS = 20_000;

/** Looking back in a recording that is running. */
export const REWIND_LIMITS = {
  /** What is asked for in front of the playhead. */
  aheadS: 12,
  /** With more than this there, because it is paused close to the live picture, nothing is taken until it is less. */
  maxAheadS: 40,
  /** What stays behind it, so that a small step back needs nobody. */
  keepBehindS: 30,
  /** A playhead this close to the end of a range cannot move on within it. */
  edgeS: 0.05,
  tickMs: 250,
  /** When this long after the first media there is no picture of the moment that was asked for, the next one is shown. */
  settleMs: 1_000,
  /** Clocks of publisher and relay that agree this well are taken for the same. */
  clockToleranceMs: 500,
  /** What one step of the keyboard or of a button goes back or forward. */
  stepMs: 10_000,
  /** Closer to the live picture than this there is nothing to look back at. */
  minBehindMs: 3_000,
  retry: { initialDelayMs: 500, maxDelayMs: 8_000 },
} as const;

/** Video elements that wait to be used again. */
export const MAX_IDLE_VIDEOS = 16;

/** A player that no view shows any more waits this long for the next view before it is closed. */
export const PLAYER_LINGER_MS = 1_500;

/** As many streams as the grid decodes at a time unless somebody asks for more; the rest is on further pages. */
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
