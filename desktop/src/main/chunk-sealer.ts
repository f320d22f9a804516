/** Gives the chunks of one recording their epochs, numbers, hashes and chain values, in the order of their arrival. */
import {
  chainInput,
  EMPTY_SIGNATURE,
  encodeChunk,
  encodeChunkHead,
  encodeMessage,
  RECORDING_EVENTS,
  type ChunkKind,
  type RecordingEvent,
} from '@proofcast/shared';
import { positionBehind, sha256, type SpoolPosition } from './spool-position.ts';

export class ChunkSealer {
  #position: SpoolPosition;

  constructor(position: SpoolPosition) {
    this.#position = position;
  }

  /** Where the recording stands behind everything that was sealed. */
  get position(): SpoolPosition {
    return this.#position;
  }

  /** What was sealed behind `position` does not count: no disk has it. */
  returnTo(position: SpoolPosition): void {
    this.#position = position;
  }

  /** The whole frame, as it is stored and sent. `epoch-started` begins the next epoch, `epoch-ended` closes it. */
  sealEvent(event: RecordingEvent, captureTimeUs: number): Uint8Array {
    const payload = new TextEncoder().encode(encodeMessage(RECORDING_EVENTS, event));
    const isStart = event.type === 'epoch-started';
    const epoch = this.#position.epoch + (isStart ? 1 : 0);
    const isEpochOpen = isStart || (this.#position.isEpochOpen && event.type !== 'epoch-ended');
    return this.#seal('event', payload, { epoch, isEpochOpen, captureTimeUs });
  }

  sealMedia(payload: Uint8Array, captureTimeUs: number): Uint8Array {
    const { epoch, isEpochOpen } = this.#position;
    return this.#seal('media', payload, { epoch, isEpochOpen, captureTimeUs });
  }

  #seal(
    kind: ChunkKind,
    payload: Uint8Array,
    { epoch, isEpochOpen, captureTimeUs }: { epoch: number; isEpochOpen: boolean; captureTimeUs: number },
  ): Uint8Array {
    const sequence = this.#position.nextSequence;
    const fields = { kind, epoch, sequence, captureTimeUs };
    const hash = sha256(payload);
    const head = encodeChunkHead({ ...fields, payloadBytes: payload.length });
    const chain = sha256(chainInput(this.#position.chain, head, hash));
    this.#position = positionBehind(this.#position, { ...fields, chain }, isEpochOpen);
    return encodeChunk({ ...fields, payload, sha256: hash, chain, signature: EMPTY_SIGNATURE });
  }
}
