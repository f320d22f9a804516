/**
 * `effect.*`: what each setting of the live path does to the age of the picture. Every way is measured in turns with
 * the same picture from page to page; those between the bare SFU and ours are a bare mediasoup worker with all settings
 * of ours but one. They have no goal: they say where a difference in `live.latency` would come from.
 */
import { setPriority } from 'node:os';
import { createId } from '@proofcast/shared';
import { offeredCapabilities } from '../../sfu/src/media-options.ts';
import { startBareSfu, type BareSettings } from '../../sfu/testing/bare-sfu.ts';
import { connectToBareSfu, type BareSending } from '../harness/bare-client-api.ts';
import { LiveWorld } from '../live/live-world.ts';
import {
  median,
  type Benchmark,
  type BenchmarkOptions,
  type BenchmarkResult,
  type ByEffort,
} from './benchmark.ts';
import {
  fromPageToPage,
  PICTURE,
  PICTURES,
  settledAges,
  throughSfu,
  type LiveSession,
} from './live-sessions.ts';

const ROUNDS: ByEffort<number> = { quick: 1, usual: 5, long: 11 };

type Ages = Pick<LiveSession, 'p50' | 'p95'>;

/** A bare worker with other settings than ours. */
interface Setting {
  readonly sfu: BareSettings;
  readonly sending: BareSending;
  readonly jitterBufferTargetMs: number | null;
  /** Of the worker's process among others, as `nice` counts. */
  readonly niceness: number;
}

const MEDIASOUP_INITIAL_BITRATE = 600_000;
const FEEDBACK = /transport-wide-cc|abs-send-time/;
const PLAYOUT_DELAY = /playout-delay/;

const isOfferedByUs = (uri: string): boolean =>
  offeredCapabilities({ headerExtensions: [{ kind: 'video', uri: uri as never, preferredId: 1 }] })
    .headerExtensions?.length === 1;

const OURS: Setting = {
  sfu: { isOffered: isOfferedByUs },
  sending: { isLayered: true, isTuned: true },
  jitterBufferTargetMs: null,
  niceness: 0,
};
/** As mediasoup and its client come. */
const DEFAULTS: Setting = {
  ...OURS,
  sfu: { initialAvailableOutgoingBitrate: MEDIASOUP_INITIAL_BITRATE },
  sending: { isLayered: false, isTuned: false },
};

const STEPS: Readonly<Record<string, { readonly what: string; readonly setting: Setting | null }>> = {
  ours: { what: 'our SFU with its real clients', setting: null },
  settings: { what: 'bare mediasoup with all settings of ours', setting: OURS },
  bare: { what: 'mediasoup and its client with their defaults: one layer', setting: DEFAULTS },
  pacing: {
    what: 'without the bitrates to start from, which the pacers of both ends go by',
    setting: {
      ...OURS,
      sfu: { ...OURS.sfu, initialAvailableOutgoingBitrate: MEDIASOUP_INITIAL_BITRATE },
      sending: { isLayered: true, isTuned: false },
    },
  },
  layers: { what: 'one layer', setting: { ...OURS, sending: { isLayered: false, isTuned: true } } },
  extensions: { what: 'all header extensions that mediasoup has', setting: { ...OURS, sfu: {} } },
  playout: {
    what: 'without the header extension for playout delay',
    setting: {
      ...OURS,
      sfu: { isOffered: (uri) => isOfferedByUs(uri) && !PLAYOUT_DELAY.test(uri) },
    },
  },
  feedback: {
    what: 'without transport-wide feedback, hence without an estimate of bandwidth',
    setting: { ...OURS, sfu: { isOffered: (uri) => isOfferedByUs(uri) && !FEEDBACK.test(uri) } },
  },
  jitter: {
    what: 'a viewer who asks for a jitter buffer of 0 ms',
    setting: { ...OURS, jitterBufferTargetMs: 0 },
  },
  scheduling: {
    what: 'a worker that lets every other process go first (nice 10)',
    setting: { ...OURS, niceness: 10 },
  },
};

const resultName = (step: string): string => `effect.${step}`;

export const liveEffects: Benchmark = {
  names: Object.keys(STEPS).map(resultName),
  isExplanation: true,
  run,
};

async function run({ effort, note }: BenchmarkOptions): Promise<BenchmarkResult[]> {
  const measured = new Map<string, { ages: Ages; baseline: Ages }[]>();
  const world = await LiveWorld.open();
  try {
    for (let round = 0; round < ROUNDS[effort]; round += 1) {
      const steps = Object.entries(STEPS);
      for (const [step, { setting }] of round % 2 === 0 ? steps : steps.toReversed()) {
        const baseline = await fromPageToPage(world, effort);
        const ages = setting
          ? await throughBareSfu(world, { setting, effort })
          : await throughSfu(world, effort);
        note(
          `${step}: p50 ${ages.p50.toFixed(0)} / ${baseline.p50.toFixed(0)} ms, p95 ${ages.p95.toFixed(0)} / ${baseline.p95.toFixed(0)} ms`,
        );
        measured.set(step, [...(measured.get(step) ?? []), { ages, baseline }]);
      }
    }
  } finally {
    await world.close();
  }
  return Object.entries(STEPS).map(([step, { what }]): BenchmarkResult => {
    const rounds = measured.get(step) ?? [];
    const ratioOf = (key: keyof Ages) =>
      median(rounds.map(({ ages, baseline }) => ages[key] / baseline[key]));
    const p95 = median(rounds.map(({ ages }) => ages.p95));
    return {
      name: resultName(step),
      value: median(rounds.map(({ ages }) => ages.p50)),
      unit: 'ms',
      baseline: median(rounds.map(({ baseline }) => baseline.p50)),
      ratio: ratioOf('p50'),
      goal: null,
      met: null,
      conditions: `${what}; p95 ${p95.toFixed(0)} ms, ${ratioOf('p95').toFixed(2)} of the baseline's; ${rounds.length} rounds of ${PICTURES[effort]} pictures as in live.latency; baseline: from page to page without a server`,
    };
  });
}

async function throughBareSfu(
  world: LiveWorld,
  { setting, effort }: { setting: Setting; effort: BenchmarkOptions['effort'] },
): Promise<Ages> {
  const bare = await startBareSfu(setting.sfu);
  setPriority(bare.pid, setting.niceness);
  const streamId = createId('stream');
  const [publisher, viewer] = [await world.openPage(), await world.openPage()];
  try {
    for (const { page } of [publisher, viewer]) await connectToBareSfu(page, bare.calls);
    await publisher.publishBare({ streamId, ...PICTURE, ...setting.sending });
    await viewer.viewBare(streamId, setting.jitterBufferTargetMs);
    return await settledAges(viewer, { streamId, effort });
  } finally {
    await Promise.all([publisher.close(), viewer.close()]);
    bare.close();
  }
}
