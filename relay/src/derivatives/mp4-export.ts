/** A recording as MP4 with H.264 and AAC, which everything plays. Made on request. */
import type { DerivativeJob, MadeFile } from './derivative-job.ts';
import { encodeTimeline } from './timeline.ts';

export function makeMp4(job: DerivativeJob): Promise<MadeFile> {
  return encodeTimeline(job, {
    what: 'make the MP4',
    name: 'export.mp4',
    format: 'mp4',
    tags: {
      title: `Proofcast recording ${job.source.recordingId}`,
      comment: 'Encoded again for convenience, not the evidence',
      creation_time: new Date(job.source.startedAtMs).toISOString(),
    },
    // Text on screens stays legible at this quality.
    video: ['-c:v', 'libx264', '-preset', 'veryfast', '-crf', '22'],
    audio: ['-c:a', 'aac', '-b:a', '96k'],
    container: ['-movflags', '+faststart'],
  });
}
