/** All benchmarks, in the order in which they run. */
import type { Benchmark } from './benchmark.ts';
import { fallbackView } from './fallback-view.ts';
import { liveEffects } from './live-effects.ts';
import { liveView } from './live-view.ts';
import { publisherCpu } from './publisher-cpu.ts';
import { recordingMerge } from './recording-merge.ts';
import { recordingReady } from './recording-ready.ts';
import { relayAck } from './relay-ack.ts';
import { relayFanOut } from './relay-fan-out.ts';
import { relayIngest } from './relay-ingest.ts';
import { relayMemory } from './relay-memory.ts';
import { sfuConsumers } from './sfu-consumers.ts';
import { sfuRecovery } from './sfu-recovery.ts';
import { uploadCatchUp } from './upload-catch-up.ts';
import { wallWebRtc } from './wall-web-rtc.ts';

export const BENCHMARKS: readonly Benchmark[] = [
  ...relayFanOut,
  relayMemory,
  relayAck,
  relayIngest,
  recordingReady,
  recordingMerge,
  liveView,
  liveEffects,
  sfuConsumers,
  ...sfuRecovery,
  publisherCpu,
  wallWebRtc,
  fallbackView,
  uploadCatchUp,
];
