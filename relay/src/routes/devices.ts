import { CodedError, INGEST_PATH, toCloseReason, toCodedError } from '@proofcast/shared';
import type { Companies } from '../identity/companies.ts';
import type { Devices } from '../identity/devices.ts';
import type { Enrolment } from '../identity/enrolment.ts';
import type { Tokens } from '../identity/tokens.ts';
import type { Media } from './media.ts';
import { countFailures, type RateLimiter } from './rate-limiter.ts';
import type { RouteHandlers } from './route-table.ts';
import { signalingUrlFor, type SfuAddress } from './sfu-address.ts';

/** Devices: how they come, how they get their tokens, how they go. */
export function deviceRoutes({
  companies,
  devices,
  enrolment,
  tokens,
  media,
  sfu,
  enrolmentFailuresByAddress,
}: {
  companies: Companies;
  devices: Devices;
  enrolment: Enrolment;
  tokens: Tokens;
  media: Pick<Media, 'disconnectDevice' | 'refreshStreams' | 'acceptPublisher'>;
  sfu: SfuAddress;
  enrolmentFailuresByAddress: RateLimiter;
}): Pick<
  RouteHandlers,
  'devices' | 'revokeDevice' | 'createEnrolmentCode' | 'enrol' | 'createPublishTokens' | 'ingest'
> {
  return {
    devices: async ({ caller }) => ({ devices: await devices.list(caller.user.companyId) }),

    revokeDevice: async ({ caller, params }) => {
      const device = await devices.revoke(caller.user.companyId, params.deviceId);
      media.disconnectDevice(
        device.deviceId,
        new CodedError('DEVICE_REVOKED', 'An admin revoked this device.'),
      );
      media.refreshStreams(caller.user.companyId);
      return device;
    },

    createEnrolmentCode: ({ caller, body }) => enrolment.createCode(caller.user.companyId, body.deviceName),

    enrol: async ({ body, request }) => {
      const { deviceId, deviceName, companyId } = await countFailures(
        [{ limiter: enrolmentFailuresByAddress, key: request.ip }],
        () => enrolment.enrol(body),
      );
      const { name: companyName } = await companies.get(companyId);
      return { deviceId, deviceName, companyName };
    },

    createPublishTokens: async ({ caller, body, request }) => {
      const { stream, isNew } = await devices.openStream(caller, body.slot);
      if (isNew) media.refreshStreams(stream.companyId);
      const publish = await tokens.signForDevice('sfu:publish', stream);
      const ingest = await tokens.signForDevice('relay:ingest', stream);
      return {
        streamId: stream.streamId,
        sfu: { url: signalingUrlFor(request, sfu), token: publish.token },
        ingest: { path: INGEST_PATH, token: ingest.token },
        expiresAtMs: Math.min(publish.expiresAtMs, ingest.expiresAtMs),
      };
    },

    ingest: (socket, device) => {
      media.acceptPublisher(socket, device);
      // A device that was revoked while its socket was being opened was not there to be disconnected.
      devices.requireActive(device.deviceId).catch((error: unknown) => {
        const coded = toCodedError(error);
        const isGone = coded.code === 'DEVICE_REVOKED' || coded.code === 'TOKEN_INVALID';
        if (isGone) return media.disconnectDevice(device.deviceId, coded);
        // Nobody knows: the device may try again, and what it recorded stays open.
        socket.close(coded.closeCode, toCloseReason(coded));
      });
    },
  };
}
