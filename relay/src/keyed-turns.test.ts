import { expect, test } from 'vitest';
import { KeyedTurns } from './keyed-turns.ts';

test('tasks of one key run one after the other, of different keys side by side, and failures end nothing', async () => {
  const turns = new KeyedTurns();
  const log: string[] = [];
  const gate = Promise.withResolvers<void>();
  const first = turns.run('a', async () => {
    log.push('a1');
    await gate.promise;
    throw new Error('a1 failed');
  });
  const second = turns.run('a', async () => log.push('a2'));
  await turns.run('b', async () => log.push('b1'));
  expect(log).toEqual(['a1', 'b1']);
  gate.resolve();
  await expect(first).rejects.toThrow('a1 failed');
  await second;
  expect(log).toEqual(['a1', 'b1', 'a2']);
});

test('it is idle when everything has ended, also what was begun meanwhile', async () => {
  const turns = new KeyedTurns();
  let ended = 0;
  await turns.whenIdle();
  void turns.run('a', async () => {
    void turns.run('a', async () => {
      ended += 1;
    });
    ended += 1;
  });
  await turns.whenIdle();
  expect(ended).toBe(2);
});
