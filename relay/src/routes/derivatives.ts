import { basename, dirname } from 'node:path';
import { EXPORT_KINDS } from '../derivatives/derivative-catalogue.ts';
import type { Media } from './media.ts';
import type { RouteHandlers } from './route-table.ts';

/** What is made of the recordings of the caller's company: asking for it, and fetching it. */
export function derivativeRoutes({
  media,
}: {
  media: Pick<Media, 'derivatives' | 'beginDownload'>;
}): Pick<RouteHandlers, 'createExport' | 'recordingDerivative' | 'recordingSpriteTiles'> {
  const { derivatives } = media;
  return {
    createExport: ({ caller, params, body }) =>
      derivatives.request(caller.user.companyId, params.recordingId, body.kind),

    recordingDerivative: async ({ caller, params, reply }) => {
      const { recordingId, kind } = params;
      // A page with many recordings fetches as many small pictures at a time.
      if (EXPORT_KINDS.includes(kind)) media.beginDownload(caller.user.userId, reply.raw);
      const file = await derivatives.file(caller.user.companyId, recordingId, kind);
      const disposition = file.isDownload ? 'attachment' : 'inline';
      return (
        reply
          .header('content-type', file.contentType)
          .header('content-disposition', `${disposition}; filename="${file.fileName}"`)
          // Browsers keep it, but ask each time if they may.
          .header('cache-control', 'private, no-cache')
          .sendFile(basename(file.path), dirname(file.path), { cacheControl: false, contentType: false })
      );
    },

    recordingSpriteTiles: ({ caller, params }) =>
      derivatives.spriteTiles(caller.user.companyId, params.recordingId),
  };
}
