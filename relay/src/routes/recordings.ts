import { basename, dirname } from 'node:path';
import type { FastifyReply } from 'fastify';
import type { Media } from './media.ts';
import type { RouteHandlers } from './route-table.ts';

/** Recordings of the caller's company, and their files. */
export function recordingRoutes({
  media,
}: {
  media: Pick<Media, 'listRecordings' | 'getRecording' | 'recordingMediaPath' | 'thumbnailPath'>;
}): Pick<RouteHandlers, 'recordings' | 'recording' | 'recordingMedia' | 'recordingThumbnail'> {
  return {
    recordings: async ({ caller, query }) => ({
      recordings: await media.listRecordings(caller.user.companyId, query),
    }),
    recording: ({ caller, params }) => media.getRecording(caller.user.companyId, params.recordingId),
    recordingMedia: async ({ caller, params, reply }) => {
      const { path } = await media.recordingMediaPath(caller.user.companyId, params.recordingId);
      return sendFile(reply, path, 'video/webm');
    },
    recordingThumbnail: async ({ caller, params, reply }) => {
      const path = await media.thumbnailPath(caller.user.companyId, params.recordingId);
      return sendFile(reply, path, 'image/jpeg');
    },
  };
}

/** With ranges, validators and HEAD (RFC 9110) by @fastify/static. Browsers keep it, but ask each time if they may. */
function sendFile(reply: FastifyReply, path: string, contentType: string): FastifyReply {
  return reply
    .header('content-type', contentType)
    .header('cache-control', 'private, no-cache')
    .sendFile(basename(path), dirname(path), { cacheControl: false, contentType: false });
}
