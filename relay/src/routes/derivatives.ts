import { basename, dirname } from 'node:path';
import type { Media } from './media.ts';
import type { RouteHandlers } from './route-table.ts';

/** What is made of the recordings of the caller's company: asking for it, and fetching it. */
export function derivativeRoutes({
  media: { derivatives },
}: {
  media: Pick<Media, 'derivatives'>;
}): Pick<RouteHandlers, 'createExport' | 'recordingDerivative' | 'recordingSpriteTiles'> {
  return {
    createExport: ({ caller, params, body }) =>
      derivatives.request(caller.user.companyId, params.recordingId, body.kind),

    recordingDerivative: async ({ caller, params, reply }) => {
      const { recordingId, kind } = params;
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
