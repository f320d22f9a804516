import type { Retention } from '../retention/retention.ts';
import type { RouteHandlers } from './route-table.ts';

/** How long the caller's company keeps its recordings, what goes, and what is kept of those that went. */
export function retentionRoutes({
  retention,
}: {
  retention: Pick<Retention, 'policyOf' | 'setPolicy' | 'preview' | 'deleteByHand' | 'tombstones'>;
}): Pick<
  RouteHandlers,
  'retentionPolicy' | 'setRetentionPolicy' | 'retentionPreview' | 'deleteRecording' | 'tombstones'
> {
  return {
    retentionPolicy: ({ caller }) => retention.policyOf(caller.user.companyId),
    setRetentionPolicy: ({ caller, body }) => retention.setPolicy(caller.user, body),
    retentionPreview: ({ caller, query }) => retention.preview(caller.user.companyId, query),
    deleteRecording: ({ caller, params }) => retention.deleteByHand(caller.user, params.recordingId),
    tombstones: async ({ caller, query }) => ({
      tombstones: await retention.tombstones(caller.user.companyId, query),
    }),
  };
}
