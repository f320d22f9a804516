import { describe, expect, test } from 'vitest';
import { PayloadCache } from './payload-cache.ts';

/** A disk that counts its reads, and answers when it is told to. */
class HeldDisk {
  reads = 0;
  #waiting: ((bytes: Uint8Array | Error) => void)[] = [];

  readonly read = (): Promise<Uint8Array> => {
    this.reads += 1;
    return new Promise((resolve, reject) =>
      this.#waiting.push((answer) => (answer instanceof Error ? reject(answer) : resolve(answer))),
    );
  };

  answer(answer: Uint8Array | Error): void {
    for (const give of this.#waiting.splice(0)) give(answer);
  }
}

describe('the cache of payloads', () => {
  test('[V11] reads once for all who ask while it is read, and for who asks afterwards', async () => {
    const [cache, disk] = [new PayloadCache({ maxBytes: 100 }), new HeldDisk()];
    const asked = Array.from({ length: 1_000 }, () => cache.get('a', disk.read));
    const bytes = Uint8Array.of(1, 2, 3);
    disk.answer(bytes);
    for (const payload of await Promise.all(asked)) expect(payload).toBe(bytes);
    expect(await cache.get('a', disk.read)).toBe(bytes);
    expect(disk.reads).toBe(1);
  });

  test('[V11] keeps what was used last, within its bytes', async () => {
    const cache = new PayloadCache({ maxBytes: 100 });
    const reads: string[] = [];
    const get = (key: string, byteLength = 40) =>
      cache.get(key, () => {
        reads.push(key);
        return Promise.resolve(new Uint8Array(byteLength));
      });
    await get('a');
    await get('b');
    await get('a');
    await get('c');
    expect(cache.keptBytes).toBe(80);
    await get('a');
    await get('b');
    expect(reads).toEqual(['a', 'b', 'c', 'b']);
    // What is larger than all of it is not kept, and drives nothing out.
    await get('huge', 101);
    expect(cache.keptBytes).toBe(80);
    await get('b');
    await get('huge', 101);
    expect(reads).toEqual(['a', 'b', 'c', 'b', 'huge', 'huge']);
  });

  test('tells a failure to all who wait, and reads again for who asks next', async () => {
    const [cache, disk] = [new PayloadCache({ maxBytes: 100 }), new HeldDisk()];
    const asked = [cache.get('a', disk.read), cache.get('a', disk.read)];
    disk.answer(new Error('no disk'));
    for (const answer of await Promise.allSettled(asked)) expect(answer.status).toBe('rejected');
    const again = cache.get('a', disk.read);
    disk.answer(Uint8Array.of(7));
    expect(await again).toEqual(Uint8Array.of(7));
  });
});
