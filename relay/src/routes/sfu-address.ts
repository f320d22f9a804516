import { CodedError, SFU_PATH } from '@proofcast/shared';
import type { FastifyRequest } from 'fastify';
import type { RelayConfig } from '../config.ts';

/** Names and addresses as they stand in a URL; nothing that could mean something else in a header. */
const HOST_NAME = /^[a-z0-9._-]+$|^\[[0-9a-f:.]+\]$/i;

export type SfuAddress = Pick<RelayConfig, 'sfuUrl' | 'sfuPort'>;

/**
 * Where this client reaches the SFU, as a `ws:` or `wss:` URL without a path of its own. Unless it is configured, that is
 * the host by which the client reached the relay. Throws `MESSAGE_INVALID` when that host is no host.
 */
export function sfuUrlFor(request: FastifyRequest, { sfuUrl, sfuPort }: SfuAddress): string {
  if (sfuUrl) return sfuUrl;
  const { hostname, protocol } = request;
  if (!HOST_NAME.test(hostname)) {
    throw new CodedError('MESSAGE_INVALID', 'Cannot tell where the SFU is: the Host header is not a host.');
  }
  return `${protocol === 'https' ? 'wss' : 'ws'}://${hostname}:${sfuPort}`;
}

/** The signalling websocket of the SFU, as this client reaches it. */
export function signalingUrlFor(request: FastifyRequest, address: SfuAddress): string {
  return `${sfuUrlFor(request, address)}${SFU_PATH}`;
}
