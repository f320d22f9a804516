/** The streams that the user may watch, as the relay tells them: the one copy that all views show. */
import type { Id, StreamView } from '@proofcast/shared';
import { shallowRef, type ShallowRef } from 'vue';

export type ListState =
  | { readonly kind: 'loading' }
  /** Every change arrives at once. */
  | { readonly kind: 'pushed' }
  /** The websocket does not come up; the list is asked for every few seconds. */
  | { readonly kind: 'polled' }
  /** Neither works: this is what was known last. */
  | { readonly kind: 'stale'; readonly sinceMs: number };

const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: 'base' });

export class StreamList {
  /** Ordered by the name of the device, then of the source. */
  readonly streams: ShallowRef<readonly StreamView[]> = shallowRef([]);
  readonly state: ShallowRef<ListState> = shallowRef({ kind: 'loading' });

  find(streamId: Id): StreamView | undefined {
    return this.streams.value.find((stream) => stream.streamId === streamId);
  }

  replace(streams: readonly StreamView[]): void {
    this.streams.value = streams.toSorted(
      (a, b) =>
        collator.compare(a.deviceName, b.deviceName) ||
        collator.compare(a.sourceName, b.sourceName) ||
        collator.compare(a.streamId, b.streamId),
    );
  }

  change(stream: StreamView): void {
    this.replace([...this.streams.value.filter(({ streamId }) => streamId !== stream.streamId), stream]);
  }

  remove(streamId: Id): void {
    this.streams.value = this.streams.value.filter((stream) => stream.streamId !== streamId);
  }
}
