/**
 * A recording with several parts as one webm, for those who want to look through it at one go. It is encoded again and
 * says so of itself; the parts stay the evidence.
 */
import type { DerivativeJob, MadeFile } from './derivative-job.ts';
import { encodeTimeline } from './timeline.ts';

export function makeJoined(job: DerivativeJob): Promise<MadeFile> {
  return encodeTimeline(job, {
    what: 'join the parts of the recording',
    name: 'joined.webm',
    format: 'webm',
    tags: {
      title: `Convenience copy of Proofcast recording ${job.source.recordingId}`,
      comment: 'Encoded again, not the evidence',
    },
    // No pictures that are only there for others to be built on: each is to be counted.
    video: ['-c:v', 'libvpx', '-deadline', 'realtime', '-cpu-used', '6', '-auto-alt-ref', '0', ...QUALITY],
    audio: ['-c:a', 'libopus', '-b:a', '96k'],
    container: ['-cues_to_front', '1'],
  });
}

/** The rate is only an upper limit. */
const QUALITY = ['-crf', '12', '-b:v', '6M'];
