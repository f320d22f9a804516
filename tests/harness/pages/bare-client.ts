// Runs in a page: publishes to the bare SFU and views from it, with nothing but mediasoup-client.
import { Device } from 'mediasoup-client';
import type { Transport } from 'mediasoup-client/types';
import type { BareSfuCalls } from '../../../sfu/testing/bare-sfu.ts';
import { SFU } from '../../../desktop/src/renderer/config.ts';
import { ASK_BARE_SFU, type BareSending } from '../bare-client-api.ts';

export async function publishBare({
  streamId,
  track,
  isLayered,
  isTuned,
}: { streamId: string; track: MediaStreamTrack } & BareSending): Promise<void> {
  const device = await openDevice();
  const transport = device.createSendTransport(await ask('createTransport'));
  answerConnect(transport);
  transport.on('produce', ({ kind, rtpParameters }, accept, refuse) => {
    ask('produce', { transportId: transport.id, streamId, kind, rtpParameters }).then(
      (id) => accept({ id }),
      refuse,
    );
  });
  const encodings = isLayered ? SFU.encodings : [{ maxBitrate: SFU.encodings[1].maxBitrate }];
  const producer = await transport.produce({
    track,
    encodings: encodings.map((encoding) => ({ ...encoding })),
    ...(isTuned ? { codecOptions: { videoGoogleStartBitrate: SFU.startBitrateKbps } } : {}),
  });
  if (!isTuned) return;
  const parameters = producer.rtpSender?.getParameters();
  if (!parameters) throw new Error('The producer has no sender.');
  await producer.rtpSender?.setParameters({ ...parameters, degradationPreference: 'maintain-resolution' });
}

/** All over one transport. Resolves with their pictures, in order. */
export async function viewBare(streamIds: readonly string[]): Promise<MediaStreamTrack[]> {
  const device = await openDevice();
  const transport = device.createRecvTransport(await ask('createTransport'));
  answerConnect(transport);
  const { recvRtpCapabilities: rtpCapabilities } = device;
  const tracks: MediaStreamTrack[] = [];
  for (const streamId of streamIds) {
    const consumer = await transport.consume(
      await ask('consume', { transportId: transport.id, streamId, rtpCapabilities }),
    );
    await ask('resume', { consumerId: consumer.id });
    tracks.push(consumer.track);
  }
  return tracks;
}

/** One call of the bare SFU. What it answers is what its method says. */
async function ask<M extends keyof BareSfuCalls>(
  method: M,
  ...params: Parameters<BareSfuCalls[M]>
): Promise<Awaited<ReturnType<BareSfuCalls[M]>>> {
  const call = Reflect.get(window, ASK_BARE_SFU) as (method: string, params: unknown) => Promise<never>;
  return call(method, params[0]);
}

async function openDevice(): Promise<Device> {
  const device = await Device.factory({ handlerName: 'Chrome111' });
  await device.load({ routerRtpCapabilities: await ask('capabilities') });
  return device;
}

function answerConnect(transport: Transport): void {
  transport.on('connect', ({ dtlsParameters }, accept, refuse) => {
    ask('connect', { transportId: transport.id, dtlsParameters }).then(accept, refuse);
  });
}
