/** How a producer of one worker comes to the viewers of another one. */
import type { Producer } from 'mediasoup/types';
import { askMediasoup } from './media-errors.ts';
import type { MediaWorker } from './media-worker.ts';

export interface Pipe {
  /** The same producer as the other worker knows it. It is closed with the one that is piped. */
  readonly producer: Producer;
  /** Ends the copy. Idempotent. */
  close(): void;
}

/** The seam for viewers that are served from elsewhere: from another worker here, later from another host. */
export interface RouterPipes {
  /** Rejects when either worker is gone, or the producer was closed meanwhile. */
  open(producer: Producer, from: MediaWorker, to: MediaWorker): Promise<Pipe>;
}

/** Between workers of this host. mediasoup keeps one pair of transports for each pair of workers. */
export const localPipes: RouterPipes = {
  async open(producer, from, to) {
    const { pipeConsumer, pipeProducer } = await askMediasoup('pipe the stream', () =>
      from.router.pipeToRouter({ producerId: producer.id, router: to.router }),
    );
    if (!pipeConsumer || !pipeProducer) throw new Error('mediasoup has piped nothing.');
    return { producer: pipeProducer, close: () => pipeConsumer.close() };
  },
};
