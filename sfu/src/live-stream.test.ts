import { createId, type Id } from '@proofcast/shared';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  DTLS_PARAMETERS,
  RTP_CAPABILITIES,
  audioParameters,
  videoParameters,
  viewOf,
} from '../testing/rtp-parameters.ts';
import { runSfu, type RunningSfu } from '../testing/running-sfu.ts';
import type { SignalingClient } from '../testing/signaling-client.ts';

const PAUSED = { isPaused: true, isHeard: false, maxSpatialLayer: null, priority: 1 };

let running: RunningSfu;
let streamId: Id;

beforeEach(async () => {
  running = await runSfu();
  streamId = createId('stream');
});

afterEach(() => running.stop());

async function connectPublisher(id = streamId): Promise<SignalingClient> {
  return running.connect(await running.issuer.publisher(id));
}

async function connectViewer(): Promise<SignalingClient> {
  return running.connect(await running.issuer.viewer());
}

/** A publisher of a video without packets: enough for everything that is signalled. */
async function publishVideo(): Promise<SignalingClient> {
  const publisher = await connectPublisher();
  await publisher.request('publish', { streamId });
  await publisher.request('produce', { streamId, kind: 'video', rtpParameters: videoParameters() });
  return publisher;
}

async function viewVideo(): Promise<{ viewer: SignalingClient; consumerId: string; transportId: string }> {
  const viewer = await connectViewer();
  const { consumers, transport } = await viewer.request('view', viewOf(streamId));
  return { viewer, consumerId: consumers[0]?.id ?? '', transportId: transport.id };
}

describe('publishing and viewing', () => {
  it('gives both ends a transport that is reachable by UDP and TCP on one port', async () => {
    const publisher = await connectPublisher();
    const { transport } = await publisher.request('publish', { streamId });
    const places = transport.iceCandidates.map(({ address, protocol, port }) => ({
      address,
      protocol,
      port,
    }));
    const port = places[0]?.port;
    expect(places).toEqual([
      { address: '127.0.0.1', protocol: 'udp', port },
      { address: '127.0.0.1', protocol: 'tcp', port },
    ]);
    const viewer = await connectViewer();
    const joined = await viewer.request('view', viewOf(streamId));
    expect(joined.transport.id).not.toBe(transport.id);
    expect(joined.transport.iceCandidates.map((candidate) => candidate.port)).toEqual([port, port]);
  });

  it('offers VP8 and Opus and the header extensions that are used, and nothing else', async () => {
    const client = await running.connect();
    const token = await running.issuer.viewer();
    const { routerRtpCapabilities } = await client.request('authenticate', { token });
    const mimeTypes = routerRtpCapabilities.codecs?.map(({ mimeType }) => mimeType);
    expect(mimeTypes).toEqual(['video/VP8', 'video/rtx', 'audio/opus']);
    const extensions = new Set(
      routerRtpCapabilities.headerExtensions?.map(({ uri }) => uri.split('/').at(-1)),
    );
    expect([...extensions]).toEqual([
      'urn:ietf:params:rtp-hdrext:sdes:mid',
      'urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id',
      'urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id',
      'abs-send-time',
      'draft-holmer-rmcat-transport-wide-cc-extensions-01',
      'playout-delay',
    ]);
  });

  it('[S6] creates paused consumers, one for each producer, and each only once', async () => {
    const publisher = await publishVideo();
    const viewer = await connectViewer();
    const first = await viewer.request('view', viewOf(streamId));
    expect(first.consumers.map(({ kind }) => kind)).toEqual(['video']);
    await publisher.request('produce', { streamId, kind: 'audio', rtpParameters: audioParameters() });
    expect(await viewer.next('producerAdded')).toEqual({ streamId, kind: 'audio' });
    const second = await viewer.request('consume', { streamId, rtpCapabilities: RTP_CAPABILITIES });
    expect(second.consumers.map(({ kind }) => kind)).toEqual(['audio']);
    const third = await viewer.request('consume', { streamId, rtpCapabilities: RTP_CAPABILITIES });
    expect(third.consumers).toEqual([]);
    for (const { id } of [...first.consumers, ...second.consumers]) {
      await viewer.request('resumeConsumer', { streamId, consumerId: id });
    }
  });

  it('tells the publisher how many viewers there are', async () => {
    const publisher = await publishVideo();
    const { viewer: first } = await viewVideo();
    expect(await publisher.next('viewers')).toEqual({ streamId, viewerCount: 1, isWanted: true });
    const { viewer: second } = await viewVideo();
    expect(await publisher.next('viewers')).toEqual({ streamId, viewerCount: 2, isWanted: true });
    await first.request('leave', { streamId });
    expect(await publisher.next('viewers')).toEqual({ streamId, viewerCount: 1, isWanted: true });
    second.socket.terminate();
    expect(await publisher.next('viewers')).toEqual({ streamId, viewerCount: 0, isWanted: true });
  });

  it('gives new ICE parameters for a restart', async () => {
    const publisher = await connectPublisher();
    const { transport } = await publisher.request('publish', { streamId });
    const { iceParameters } = await publisher.request('restartIce', { transportId: transport.id });
    expect(iceParameters.usernameFragment).not.toBe(transport.iceParameters.usernameFragment);
  });

  it('refuses a viewer whose codecs do not fit', async () => {
    await publishVideo();
    const viewer = await connectViewer();
    const none = { streamId, rtpCapabilities: { codecs: [] } };
    expect((await viewer.refusal('view', none)).code).toBe('MEDIA_UNSUPPORTED');
    // It has not joined by that.
    expect((await viewer.refusal('consume', none)).code).toBe('TRANSPORT_NOT_FOUND');
    await viewer.request('view', viewOf(streamId));
  });

  it('refuses a second video of the same stream', async () => {
    const publisher = await publishVideo();
    const again = { streamId, kind: 'video', rtpParameters: videoParameters('7') } as const;
    expect((await publisher.refusal('produce', again)).code).toBe('MESSAGE_UNEXPECTED');
  });

  it('refuses to publish or view a stream twice on one connection, and allows it after leaving', async () => {
    const publisher = await publishVideo();
    expect((await publisher.refusal('publish', { streamId })).code).toBe('MESSAGE_UNEXPECTED');
    const { viewer } = await viewVideo();
    expect((await viewer.refusal('view', viewOf(streamId))).code).toBe('MESSAGE_UNEXPECTED');
    await viewer.request('leave', { streamId });
    await viewer.request('view', viewOf(streamId));
    await publisher.request('leave', { streamId });
    await publisher.request('publish', { streamId });
  });
});

describe('who is told what', () => {
  it('[S9] viewers hear STREAM_OFFLINE when the publisher leaves, and the publisher hears nothing', async () => {
    const publisher = await publishVideo();
    const { viewer } = await viewVideo();
    await publisher.next('viewers');
    await publisher.request('leave', { streamId });
    expect(await viewer.next('streamClosed')).toEqual({ streamId, code: 'STREAM_OFFLINE' });
    expect(publisher.unread).toEqual([]);
  });

  it('[S9] viewers hear STREAM_OFFLINE when the connection of the publisher is cut', async () => {
    const publisher = await publishVideo();
    const { viewer } = await viewVideo();
    publisher.socket.terminate();
    expect(await viewer.next('streamClosed')).toEqual({ streamId, code: 'STREAM_OFFLINE' });
  });

  it('after the end nothing of the stream is left on the connection, and leaving it is no error', async () => {
    const publisher = await publishVideo();
    const { viewer, consumerId, transportId } = await viewVideo();
    await publisher.request('leave', { streamId });
    await viewer.next('streamClosed');
    expect((await viewer.refusal('resumeConsumer', { streamId, consumerId })).code).toBe(
      'TRANSPORT_NOT_FOUND',
    );
    // The transport stays for the next stream.
    await viewer.request('restartIce', { transportId });
    expect(await viewer.request('leave', { streamId })).toEqual({});
    expect((await viewer.refusal('view', viewOf(streamId))).code).toBe('STREAM_OFFLINE');
  });

  it('[S5] viewing a stream that nobody publishes is STREAM_OFFLINE', async () => {
    const viewer = await connectViewer();
    expect((await viewer.refusal('view', viewOf(streamId))).code).toBe('STREAM_OFFLINE');
  });

  it('[S19] viewers who were refused, or heard of the end, are told once that there is a picture', async () => {
    const [refused, viewer] = [await connectViewer(), await connectViewer()];
    await refused.refusal('view', viewOf(streamId));
    await refused.refusal('view', viewOf(streamId));
    const publisher = await connectPublisher();
    const produceAll = async () => {
      await publisher.request('publish', { streamId });
      await publisher.request('produce', { streamId, kind: 'audio', rtpParameters: audioParameters() });
      for (const who of [refused, viewer]) {
        // An answer comes after whatever was told before it.
        await who.request('leave', { streamId: createId('stream') });
        expect(who.unread).toEqual([]);
      }
      await publisher.request('produce', { streamId, kind: 'video', rtpParameters: videoParameters() });
    };
    await produceAll();
    expect(await refused.next('streamOnline')).toEqual({ streamId });
    await viewer.request('view', viewOf(streamId));
    await publisher.request('leave', { streamId });
    await viewer.next('streamClosed');
    await produceAll();
    expect(await viewer.next('streamOnline')).toEqual({ streamId });
    await publisher.request('leave', { streamId });
    await produceAll();
    for (const who of [refused, viewer]) {
      await who.request('leave', { streamId });
      expect(who.unread).toEqual([]);
    }
  });

  it('[S19] nobody is told of a stream of another company', async () => {
    const stranger = await running.connect(await running.issuer.viewer({ companyId: createId('company') }));
    await stranger.refusal('view', viewOf(streamId));
    await publishVideo();
    expect((await stranger.refusal('view', viewOf(streamId))).code).toBe('STREAM_OFFLINE');
    expect(stranger.unread).toEqual([]);
  });

  it('[S19] a viewer who was refused many streams is told of the newest, up to a limit', async () => {
    await running.stop();
    running = await runSfu({ limits: { maxStreamsPerConnection: 2 } });
    const viewer = await connectViewer();
    const streamIds = [createId('stream'), createId('stream'), createId('stream')];
    for (const id of streamIds) await viewer.refusal('view', viewOf(id));
    for (const id of streamIds) {
      const publisher = await connectPublisher(id);
      await publisher.request('publish', { streamId: id });
      await publisher.request('produce', { streamId: id, kind: 'video', rtpParameters: videoParameters() });
    }
    expect(await viewer.next('streamOnline')).toEqual({ streamId: streamIds[1] });
    expect(await viewer.next('streamOnline')).toEqual({ streamId: streamIds[2] });
    expect(viewer.unread).toEqual([]);
  });

  it('[S20] viewers hear what the way to the SFU takes, also those who come later; not of another publisher', async () => {
    const publisher = await publishVideo();
    const { viewer: first } = await viewVideo();
    await publisher.request('reportSending', { streamId, delayMs: 12.5 });
    await publisher.request('reportSending', { streamId, delayMs: 13.5 });
    expect(await first.next('sendingDelay')).toEqual({ streamId, delayMs: 12.5 });
    const { viewer: second } = await viewVideo();
    expect(await second.next('sendingDelay')).toEqual({ streamId, delayMs: 12.5 });
    const successor = await connectPublisher();
    await successor.request('publish', { streamId });
    for (const viewer of [first, second]) {
      expect(await viewer.next('sendingDelay')).toEqual({ streamId, delayMs: null });
      expect(viewer.unread).not.toContain('sendingDelay');
    }
    expect((await publisher.refusal('reportSending', { streamId, delayMs: 12.5 })).code).toBe(
      'TRANSPORT_NOT_FOUND',
    );
    const { viewer: third } = await viewVideo();
    expect(third.unread).toEqual([]);
  });

  it('[S7] a second connection takes the stream over; viewers stay and are told of the new picture', async () => {
    const first = await publishVideo();
    const { viewer, consumerId } = await viewVideo();
    const second = await connectPublisher();
    const { transport } = await second.request('publish', { streamId });
    expect(await first.next('streamClosed')).toEqual({ streamId, code: 'STREAM_TAKEN' });
    expect(await second.next('viewers')).toEqual({ streamId, viewerCount: 1, isWanted: true });
    expect(await viewer.next('consumerClosed')).toEqual({ streamId, consumerId });
    await second.request('produce', { streamId, kind: 'video', rtpParameters: videoParameters() });
    expect(await viewer.next('producerAdded')).toEqual({ streamId, kind: 'video' });
    const { consumers } = await viewer.request('consume', { streamId, rtpCapabilities: RTP_CAPABILITIES });
    expect(consumers).toHaveLength(1);
    expect(viewer.unread).toEqual([]);

    first.socket.terminate();
    await first.closed;
    await second.request('restartIce', { transportId: transport.id });
    expect(viewer.unread).toEqual([]);
  });

  it('[S7] of many connections that publish at once exactly one keeps the stream', async () => {
    const publishers = await Promise.all(Array.from({ length: 6 }, () => connectPublisher()));
    const viewer = await connectViewer();
    const outcomes = await Promise.allSettled(publishers.map((one) => one.request('publish', { streamId })));
    const granted = publishers.filter((_, index) => outcomes[index]?.status === 'fulfilled');
    const refused = outcomes.flatMap((outcome) =>
      outcome.status === 'rejected' ? [outcome.reason.code] : [],
    );
    expect(new Set(refused).size).toBeLessThanOrEqual(1);
    expect(refused.every((code) => code === 'STREAM_TAKEN')).toBe(true);
    const producing = await Promise.allSettled(
      granted.map((one) =>
        one.request('produce', { streamId, kind: 'video', rtpParameters: videoParameters() }),
      ),
    );
    expect(producing.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    const { consumers } = await viewer.request('view', viewOf(streamId));
    expect(consumers).toHaveLength(1);
  });

  it('a publisher that leaves while another one is just coming does not take the stream with it', async () => {
    const first = await publishVideo();
    const { viewer } = await viewVideo();
    const second = await connectPublisher();
    const [, answer] = await Promise.all([
      first.request('leave', { streamId }),
      second.request('publish', { streamId }),
    ]);
    await second.request('produce', { streamId, kind: 'video', rtpParameters: videoParameters() });
    expect(answer.transport.id).not.toBe('');
    const isOver = viewer.unread.includes('streamClosed');
    const { consumers } = await viewer.request(isOver ? 'view' : 'consume', viewOf(streamId));
    expect(consumers).toHaveLength(1);
  });
});

describe('closing in the middle', () => {
  it('a connection that is cut while it joins leaves nothing behind', async () => {
    const publisher = await publishVideo();
    const viewers = await Promise.all(Array.from({ length: 8 }, () => connectViewer()));
    for (const viewer of viewers) {
      void viewer.request('view', viewOf(streamId)).catch(() => {});
      viewer.socket.terminate();
    }
    await Promise.all(viewers.map(({ closed }) => closed));
    const { viewer } = await viewVideo();
    // The last word that the publisher hears is about the one that stayed.
    let last = await publisher.next('viewers');
    while (publisher.unread.includes('viewers')) last = await publisher.next('viewers');
    expect(last.viewerCount).toBe(1);
    await viewer.request('leave', { streamId });
    expect(await publisher.next('viewers')).toMatchObject({ viewerCount: 0 });
  });

  it('a publisher that is cut while it publishes leaves no stream behind', async () => {
    const publisher = await connectPublisher();
    void publisher.request('publish', { streamId }).catch(() => {});
    publisher.socket.terminate();
    await publisher.closed;
    const again = await publishVideo();
    const { consumerId } = await viewVideo();
    expect(consumerId).not.toBe('');
    await again.request('leave', { streamId });
    expect((await (await connectViewer()).refusal('view', viewOf(streamId))).code).toBe('STREAM_OFFLINE');
  });
});

describe('requests out of order', () => {
  it('[S10] refuses what needs a transport before there is one', async () => {
    const publisher = await connectPublisher();
    const produce = { streamId, kind: 'video', rtpParameters: videoParameters() } as const;
    expect((await publisher.refusal('produce', produce)).code).toBe('TRANSPORT_NOT_FOUND');
    await publishVideo();
    const viewer = await connectViewer();
    for (const refusal of [
      await viewer.refusal('consume', { streamId, rtpCapabilities: RTP_CAPABILITIES }),
      await viewer.refusal('resumeConsumer', { streamId, consumerId: 'x' }),
      await viewer.refusal('prefer', { streamId, preference: PAUSED }),
      await viewer.refusal('connectTransport', { transportId: 'x', dtlsParameters: DTLS_PARAMETERS }),
      await viewer.refusal('restartIce', { transportId: 'x' }),
    ]) {
      expect(refusal.code).toBe('TRANSPORT_NOT_FOUND');
    }
  });

  it('[S10] refuses to connect a transport twice', async () => {
    await publishVideo();
    const { viewer, transportId } = await viewVideo();
    await viewer.request('connectTransport', { transportId, dtlsParameters: DTLS_PARAMETERS });
    const again = await viewer.refusal('connectTransport', { transportId, dtlsParameters: DTLS_PARAMETERS });
    expect(again.code).toBe('MESSAGE_UNEXPECTED');
  });

  it('[S10] refuses the consumer of somebody else, and does nothing to it', async () => {
    await publishVideo();
    const { viewer: owner, consumerId } = await viewVideo();
    const { viewer: stranger } = await viewVideo();
    expect((await stranger.refusal('resumeConsumer', { streamId, consumerId })).code).toBe(
      'CONSUMER_NOT_FOUND',
    );
    await owner.request('resumeConsumer', { streamId, consumerId });
    expect(owner.unread).toEqual([]);
  });

  it('carries requests about one stream out in the order in which they came', async () => {
    await publishVideo();
    const viewer = await connectViewer();
    const answers = await Promise.all([
      viewer.request('view', viewOf(streamId)),
      viewer.request('consume', viewOf(streamId)),
      viewer.request('leave', { streamId }),
      viewer.request('view', viewOf(streamId)),
    ]);
    expect(answers[0].consumers).toHaveLength(1);
    expect(answers[1].consumers).toEqual([]);
    expect(answers[3].consumers).toHaveLength(1);
    expect(answers[3].consumers[0]?.id).not.toBe(answers[0].consumers[0]?.id);
  });
});
