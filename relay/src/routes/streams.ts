import { toCodedError } from '@proofcast/shared';
import type { Sessions } from '../identity/sessions.ts';
import type { Tickets } from '../identity/tickets.ts';
import type { Tokens } from '../identity/tokens.ts';
import type { Media } from './media.ts';
import type { RouteHandlers } from './route-table.ts';
import type { SessionSockets } from './session-sockets.ts';
import { signalingUrlFor, type SfuAddress } from './sfu-address.ts';

/** Watching live: what there is, and what it takes to see it through the SFU or through the relay. */
export function streamRoutes({
  sessions,
  tickets,
  tokens,
  media,
  sockets,
  sfu,
}: {
  sessions: Sessions;
  tickets: Tickets;
  tokens: Tokens;
  media: Pick<Media, 'listStreams' | 'acceptViewer'>;
  sockets: SessionSockets;
  sfu: SfuAddress;
}): Pick<RouteHandlers, 'streams' | 'createSfuToken' | 'createViewTicket' | 'view'> {
  return {
    streams: async ({ caller }) => ({ streams: await media.listStreams(caller.user.companyId) }),

    createSfuToken: async ({ caller, request }) => ({
      url: signalingUrlFor(request, sfu),
      ...(await tokens.signForViewer(caller.user)),
    }),

    createViewTicket: ({ caller }) => tickets.issue(caller.sessionHash),

    view: (socket, session) => {
      sockets.add(session, socket);
      media.acceptViewer(socket, session.user);
      // A session that ended while its socket was being opened was not there to be closed.
      sessions.find(session.sessionHash).catch((error: unknown) => {
        sockets.closeAll(session.sessionHash, toCodedError(error));
      });
    },
  };
}
