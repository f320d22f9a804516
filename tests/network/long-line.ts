/**
 * A line that is long and loses packets. Not every kernel has what does that (netem), so it is done here: whatever is
 * routed into the device comes back out of it later, or never, and is then routed on as usual.
 */
import { startInNamespace, type NamespaceProcess } from './namespace-process.ts';
import type { NetNamespace } from './net-namespace.ts';

export interface LongLineOptions {
  /** Each way. */
  readonly delayMs: number;
  /** Each way; between 0 and 1. */
  readonly lossShare: number;
  readonly seed: number;
}

/** The device, and the number of the routing table that leads into it. */
export const LONG_LINE = { device: 'longline', table: 100 } as const;

/** One for each namespace. Packets get into it by a rule that looks them up in its table. */
export async function openLongLine(
  namespace: NetNamespace,
  options: LongLineOptions,
): Promise<NamespaceProcess> {
  const line = await startInNamespace(namespace, { file: 'long-line-process.ts', options });
  try {
    await namespace.setParameter(`net/ipv4/conf/${LONG_LINE.device}/rp_filter`, 0);
    await namespace.configure([`route replace default dev ${LONG_LINE.device} table ${LONG_LINE.table}`]);
  } catch (error) {
    await line.close();
    throw error;
  }
  return line;
}
