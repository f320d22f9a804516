import { toCloseReason, toCodedError, type CodedError } from '@proofcast/shared';
import { LIVE_HEADERS } from '../http-carrier.ts';
import type { Session, Sessions } from '../identity/sessions.ts';
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
  media: Pick<Media, 'listStreams' | 'acceptViewer' | 'watchByHttp' | 'checkWatchable' | 'still'>;
  sockets: SessionSockets;
  sfu: SfuAddress;
}): Pick<
  RouteHandlers,
  'streams' | 'createSfuToken' | 'createViewTicket' | 'view' | 'streamLive' | 'streamStill'
> {
  /**
   * A session that ended while its connection was being opened was not there to be closed. When nobody can tell, only
   * this one ends, and its client comes again.
   */
  const checkAgain = ({ sessionHash }: Session, close: (reason: CodedError) => void): void => {
    sessions.find(sessionHash).catch((error: unknown) => {
      const reason = toCodedError(error);
      if (reason.code === 'UNAUTHENTICATED') sockets.closeAll(sessionHash, reason);
      else close(reason);
    });
  };

  return {
    streams: async ({ caller }) => ({ streams: await media.listStreams(caller.user.companyId) }),

    createSfuToken: async ({ caller, request }) => ({
      url: signalingUrlFor(request, sfu),
      ...(await tokens.signForViewer(caller.user)),
    }),

    createViewTicket: ({ caller }) => tickets.issue(caller.sessionHash),

    view: (socket, session, request) => {
      sockets.add(session, socket);
      media.acceptViewer(socket, session.user, request.raw.socket);
      checkAgain(session, (reason) => socket.close(reason.closeCode, toCloseReason(reason)));
    },

    streamLive: async ({
      caller,
      params: { streamId },
      query: { fromUs, untilUs = null },
      request,
      reply,
    }) => {
      const { user } = caller;
      if (request.method === 'HEAD') {
        await media.checkWatchable(user.companyId, streamId);
        return reply.headers(LIVE_HEADERS).send();
      }
      const rewind = fromUs === undefined ? null : { fromUs, untilUs };
      const { raw: response } = reply;
      const link = await media.watchByHttp({ response, headers: reply.getHeaders(), user, streamId, rewind });
      reply.hijack();
      sockets.addResponse(caller, response, link);
      checkAgain(caller, (reason) => link.close(reason));
      return reply;
    },

    streamStill: async ({ caller, params, reply }) => {
      const { captureTimeUs, payload } = await media.still(caller.user.companyId, params.streamId);
      return reply
        .type('image/jpeg')
        .header('cache-control', 'no-store')
        .header('x-capture-time-us', captureTimeUs)
        .send(payload);
    },
  };
}
