import type { Task } from '@polymode/verifiers';
import { expect } from 'vitest';

// biome-ignore lint/suspicious/noExplicitAny: any task at all
type AnyTask = Task<any, any, any>;

/** Rows are a user message and the fields of their instance, and which they are hangs on the seed alone. */
export function expectRows(task: AnyTask): void {
  const [row] = task.generate({ count: 1, seed: 1 });
  const { messages, ...instance } = row!;
  expect(messages).toEqual([{ role: 'user', content: task.prompt(instance, 'compact') }]);
  expect(task.checkItem(row!)).toEqual([]);
  expect(task.readInstance(row!)).toEqual(instance);
  expect(task.generate({ count: 20, seed: 1 })[0]).toEqual(row);
  expect(task.generate({ count: 3, seed: 2 })).not.toEqual(task.generate({ count: 3, seed: 1 }));
}

/**
 * What is read out of a text is read again out of its canonical form.
 *
 * @returns its key and whether it is right; null when the text holds no answer
 */
export function readTwice(task: AnyTask, text: string, instance: object): { key: string; valid: boolean } | null {
  const found = task.parse(text, instance);
  if (found === null) return null;
  const key = task.key(found);
  expect(task.key(task.parse(task.render(found, instance), instance))).toBe(key);
  return { key, valid: task.verify(found, instance) };
}
