import { expect, it } from 'vitest';
import { SerialTasks } from './serial-tasks.ts';

function gate(): { opened: Promise<void>; open: () => void } {
  let open = (): void => {};
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open };
}

it('runs tasks of one name in order, each after the one before has ended', async () => {
  const tasks = new SerialTasks();
  const { opened, open } = gate();
  const log: string[] = [];
  const first = tasks.run('a', async () => {
    await opened;
    log.push('first');
  });
  const second = tasks.run('a', async () => log.push('second'));
  await tasks.run('b', async () => log.push('other'));
  open();
  await Promise.all([first, second]);
  expect(log).toEqual(['other', 'first', 'second']);
});

it('goes on after a task that failed, and passes results and errors on', async () => {
  const tasks = new SerialTasks();
  const failing = tasks.run('a', () => Promise.reject(new Error('no')));
  const throwing = tasks.run('a', () => {
    throw new Error('not even a promise');
  });
  const next = tasks.run('a', async () => 42);
  await expect(failing).rejects.toThrow('no');
  await expect(throwing).rejects.toThrow('not even a promise');
  await expect(next).resolves.toBe(42);
});
