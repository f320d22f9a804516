import { basename, dirname } from 'node:path';
import { routePath } from '@proofcast/shared';
import type { FastifyReply } from 'fastify';
import { sendBytes } from './byte-ranges.ts';
import type { Media } from './media.ts';
import type { RouteHandlers } from './route-table.ts';

/** Recordings of the caller's company, and their files. */
export function recordingRoutes({
  media,
}: {
  media: Pick<
    Media,
    | 'listRecordings'
    | 'getRecording'
    | 'beginDownload'
    | 'openRecordingMedia'
    | 'openManifest'
    | 'thumbnailPath'
  >;
}): Pick<
  RouteHandlers,
  'recordings' | 'recording' | 'recordingMedia' | 'recordingManifest' | 'recordingThumbnail'
> {
  return {
    recordings: async ({ caller, query }) => ({
      recordings: await media.listRecordings(caller.user.companyId, query),
    }),
    recording: ({ caller, params }) => media.getRecording(caller.user.companyId, params.recordingId),
    recordingMedia: async ({ caller, params, query, request, reply }) => {
      const { recordingId } = params;
      const { part = 0, chunks = null } = query;
      const { companyId, userId } = caller.user;
      media.beginDownload(userId, reply.raw);
      const answer = await media.openRecordingMedia({ companyId, recordingId, part, chunkCount: chunks });
      if (answer.kind === 'bytes') return sendBytes({ request, reply }, answer.bytes, 'video/webm');
      const pinned = `${routePath('recordingMedia', { recordingId })}?chunks=${answer.chunkCount}&part=${part}`;
      return reply.header('cache-control', 'no-store').redirect(pinned, 307);
    },
    recordingManifest: async ({ caller, params, request, reply }) => {
      media.beginDownload(caller.user.userId, reply.raw);
      const { bytes, fileName } = await media.openManifest(caller.user.companyId, params.recordingId);
      // The name by which the verifier finds it beside the media.
      void reply.header('content-disposition', `attachment; filename="${fileName}"`);
      return sendBytes({ request, reply }, bytes, 'application/json');
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
