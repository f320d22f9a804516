import { describe, expect, test } from 'vitest';
import { HeldClock } from '../../testing/held-clock.ts';
import { Committer } from './committer.ts';
import type { Journal } from './journal.ts';

/** Stands in for a journal: counts its commits, and holds one up when told to. */
class CountedCommits {
  count = 0;
  held: Promise<void> = Promise.resolve();

  commit(): Promise<void> {
    this.count += 1;
    return this.held;
  }

  get asJournal(): Journal {
    return this as unknown as Journal;
  }
}

function setUp() {
  const clock = new HeldClock();
  const errors: unknown[] = [];
  const committer = new Committer({ clock, intervalMs: 50, onError: (error) => errors.push(error) });
  return { clock, committer, errors };
}

describe('the group commit', () => {
  test('[J4] commits at once what comes after a quiet time, and what comes then within the interval', () => {
    const { clock, committer } = setUp();
    const journal = new CountedCommits();
    committer.markDirty(journal.asJournal);
    clock.advance(0);
    expect(journal.count).toBe(1);

    clock.advance(10);
    committer.markDirty(journal.asJournal);
    committer.markDirty(journal.asJournal);
    clock.advance(39);
    expect(journal.count).toBe(1);
    clock.advance(1);
    expect(journal.count).toBe(2);
    clock.advance(1000);
    expect(journal.count).toBe(2);
  });

  test('[J4] takes all journals that have something new into one round, and waits for none of them', () => {
    const { clock, committer } = setUp();
    const [slow, quick] = [new CountedCommits(), new CountedCommits()];
    slow.held = new Promise(() => undefined);
    for (let round = 1; round <= 3; round++) {
      committer.markDirty(slow.asJournal);
      committer.markDirty(quick.asJournal);
      clock.advance(50);
      expect([slow.count, quick.count]).toEqual([round, round]);
    }
  });

  test('does nothing after it was closed, and tells an unforeseen failure', async () => {
    const { clock, committer, errors } = setUp();
    const journal = new CountedCommits();
    journal.held = Promise.reject(new Error('unforeseen'));
    committer.markDirty(journal.asJournal);
    clock.advance(0);
    await expect(journal.held).rejects.toThrow('unforeseen');
    expect(errors).toMatchObject([{ message: 'unforeseen' }]);

    committer.markDirty(journal.asJournal);
    committer.close();
    committer.close();
    clock.advance(1000);
    expect(journal.count).toBe(1);
  });
});
