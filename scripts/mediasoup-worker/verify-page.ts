// Runs in the browser that verify.ts starts: sends a moving picture through mediasoup and receives it back.

import { Device } from 'mediasoup-client';
import type { types } from 'mediasoup-client';

export type Direction = 'send' | 'receive';

/** What verify.ts answers; each is a function of the page's window. */
export interface Answers {
  askRouter: () => Promise<types.RtpCapabilities>;
  askTransport: (direction: Direction) => Promise<types.TransportOptions>;
  askConnect: (direction: Direction, dtlsParameters: types.DtlsParameters) => Promise<void>;
  askProduce: (rtpParameters: types.RtpParameters) => Promise<string>;
  askConsume: (rtpCapabilities: types.RtpCapabilities) => Promise<types.ConsumerOptions>;
  askResume: () => Promise<void>;
}

declare global {
  interface Window extends Answers {
    /** Resolves once `wantedFrames` pictures of the right colour have come back, with their number. */
    sendAndReceive: (wantedFrames: number) => Promise<number>;
  }
}

window.sendAndReceive = async (wantedFrames) => {
  // By name: the detection does not know headless Chromium's user agent.
  const device = await Device.factory({ handlerName: 'Chrome111' });

  await device.load({ routerRtpCapabilities: await window.askRouter() });

  const sender = device.createSendTransport(await window.askTransport('send'));
  const receiver = device.createRecvTransport(await window.askTransport('receive'));

  sender.on('connect', ({ dtlsParameters }, accept, refuse) => {
    window.askConnect('send', dtlsParameters).then(accept, refuse);
  });
  receiver.on('connect', ({ dtlsParameters }, accept, refuse) => {
    window.askConnect('receive', dtlsParameters).then(accept, refuse);
  });
  sender.on('produce', ({ rtpParameters }, accept, refuse) => {
    window.askProduce(rtpParameters).then((id) => accept({ id }), refuse);
  });

  await sender.produce({ track: greenPicture() });

  const consumer = await receiver.consume(await window.askConsume(device.recvRtpCapabilities));

  await window.askResume();

  return countGreenFrames(consumer.track, wantedFrames);
};

/** A small picture whose colour and a moving bar leave no doubt that it is ours and alive. */
function greenPicture(): MediaStreamTrack {
  const canvas = document.createElement('canvas');

  canvas.width = 160;
  canvas.height = 120;

  const context = canvas.getContext('2d', { alpha: false })!;
  let step = 0;

  setInterval(() => {
    context.fillStyle = 'rgb(0 200 0)';
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.fillStyle = 'black';
    context.fillRect((step += 4) % canvas.width, 0, 4, 20);
  }, 50);

  return canvas.captureStream(20).getVideoTracks()[0]!;
}

function countGreenFrames(track: MediaStreamTrack, wantedFrames: number): Promise<number> {
  const video = document.createElement('video');
  const canvas = document.createElement('canvas');
  const context = canvas.getContext('2d', { willReadFrequently: true })!;
  let frames = 0;

  video.muted = true;
  video.srcObject = new MediaStream([track]);

  return new Promise((resolve, reject) => {
    const onFrame = (): void => {
      context.drawImage(video, 0, 0, 160, 120);

      const [red, green, blue] = context.getImageData(80, 90, 1, 1).data;

      if (green! > 150 && red! < 80 && blue! < 80) {
        frames += 1;
      }
      if (frames >= wantedFrames) {
        resolve(frames);
      } else {
        video.requestVideoFrameCallback(onFrame);
      }
    };

    video.requestVideoFrameCallback(onFrame);
    video.play().catch(reject);
  });
}
