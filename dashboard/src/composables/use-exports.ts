/** Asks for files to be made of a recording, and knows what was refused. */
import type { DerivativeKind, Id } from '@proofcast/shared';
import { shallowReactive, type Ref } from 'vue';
import { useRelay } from './use-services.ts';

export interface Exports {
  /** Kinds that were asked for and are not answered yet. */
  readonly asking: ReadonlySet<DerivativeKind>;
  /** Why the last request for a kind was refused. */
  readonly refusals: ReadonlyMap<DerivativeKind, unknown>;
  /** Never rejects. */
  ask(kind: DerivativeKind): Promise<void>;
}

/** `onAsked`: what is told of the recording has changed. */
export function useExports(recordingId: Readonly<Ref<Id>>, onAsked: () => void): Exports {
  const relay = useRelay();
  const asking = shallowReactive(new Set<DerivativeKind>());
  const refusals = shallowReactive(new Map<DerivativeKind, unknown>());
  return {
    asking,
    refusals,
    ask: async (kind) => {
      if (asking.has(kind)) return;
      asking.add(kind);
      refusals.delete(kind);
      try {
        await relay.call('createExport', { params: { recordingId: recordingId.value }, body: { kind } });
        onAsked();
      } catch (error) {
        refusals.set(kind, error);
      } finally {
        asking.delete(kind);
      }
    },
  };
}
