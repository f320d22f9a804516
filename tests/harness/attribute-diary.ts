/** Every value that attributes of an element have had, written down in the page as they change: nothing is missed. */
import type { Locator } from 'playwright-core';

export interface AttributeEntry<A extends string> {
  /** Milliseconds since 1970. */
  readonly atMs: number;
  readonly values: Readonly<Record<A, string>>;
}

declare global {
  interface Element {
    /** Put there by `AttributeDiary`. */
    attributeDiary?: AttributeEntry<string>[];
  }
}

export class AttributeDiary<A extends string> {
  readonly #element: Locator;

  private constructor(element: Locator) {
    this.#element = element;
  }

  /** Begins with the values of this moment. The element has to stay in the page. */
  static async open<A extends string>(
    element: Locator,
    attributes: readonly A[],
  ): Promise<AttributeDiary<A>> {
    await element.evaluate(
      (watched, names) => {
        const diary: AttributeEntry<string>[] = [];
        const write = (): void => {
          const values = Object.fromEntries(names.map((name) => [name, watched.getAttribute(name) ?? '']));
          diary.push({ atMs: Date.now(), values });
        };
        write();
        new MutationObserver(write).observe(watched, { attributeFilter: names });
        watched.attributeDiary = diary;
      },
      [...attributes],
    );
    return new AttributeDiary<A>(element);
  }

  async read(): Promise<AttributeEntry<A>[]> {
    const diary = await this.#element.evaluate(({ attributeDiary }) => attributeDiary);
    if (!diary) throw new Error('The element whose attributes were written down is no longer in the page.');
    return diary;
  }
}
