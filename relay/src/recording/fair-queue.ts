/** What waits, by company: each company in turn, so that one with much to do does not keep the others waiting. */
import type { Id } from '@proofcast/shared';

export class FairQueue<T> {
  /** The company whose turn is next comes first; none is without items. */
  readonly #items = new Map<Id, T[]>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  push(companyId: Id, item: T): void {
    const items = this.#items.get(companyId);
    if (items === undefined) this.#items.set(companyId, [item]);
    else items.push(item);
    this.#size += 1;
  }

  /** The oldest item of the company whose turn it is; undefined when nothing waits. */
  shift(): T | undefined {
    const [next] = this.#items;
    if (next === undefined) return undefined;
    const [companyId, items] = next;
    const item = items.shift();
    this.#items.delete(companyId);
    if (items.length > 0) this.#items.set(companyId, items);
    this.#size -= 1;
    return item;
  }

  /** Whether it was there. */
  remove(companyId: Id, item: T): boolean {
    const items = this.#items.get(companyId);
    const index = items?.indexOf(item) ?? -1;
    if (items === undefined || index === -1) return false;
    items.splice(index, 1);
    if (items.length === 0) this.#items.delete(companyId);
    this.#size -= 1;
    return true;
  }

  clear(): void {
    this.#items.clear();
    this.#size = 0;
  }
}
