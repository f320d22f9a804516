/** Where a stream lives: pure, so that it can be tried without workers. */
import type { Id } from '@proofcast/shared';

export interface Place {
  readonly load: number;
  homesOf(companyId: Id): number;
}

/**
 * The place that has most of the company's streams, so that a wall of them comes over one transport; unless it has
 * `slack` more to do than the place that has least to do, which is then taken. Undefined without places.
 */
export function placeStream<P extends Place>(
  places: readonly P[],
  companyId: Id,
  slack: number,
): P | undefined {
  const least = leastLoaded(places);
  if (!least) return undefined;
  const affine = leastLoaded(places.filter((place) => place.homesOf(companyId) > 0));
  return affine && affine.load - least.load <= slack ? affine : least;
}

export function leastLoaded<P extends Place>(places: readonly P[]): P | undefined {
  return places.reduce<P | undefined>(
    (least, next) => (least && least.load <= next.load ? least : next),
    undefined,
  );
}
