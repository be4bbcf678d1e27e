import type { GenerateOptions, Row, Task } from '@polymode/verifiers';
import { expect } from 'vitest';

type Generator<Instance extends object> = Pick<
  Task<Instance, unknown, GenerateOptions>,
  'generate' | 'prompt' | 'checkItem' | 'readInstance'
>;

/** Rows are a user message and the fields of their instance, and which they are hangs on the seed alone. */
export function expectRows<Instance extends object>(task: Generator<Instance>): void {
  const row: Row<Instance> = task.generate({ count: 1, seed: 1 })[0]!;
  const { messages, ...fields } = row;
  const instance = task.readInstance(row as Record<string, unknown>);
  expect(instance).toEqual(fields);
  expect(messages).toEqual([{ role: 'user', content: task.prompt(instance, 'compact') }]);
  expect(task.checkItem(row as Record<string, unknown>)).toEqual([]);
  expect(task.generate({ count: 20, seed: 1 })[0]).toEqual(row);
  expect(task.generate({ count: 3, seed: 2 })).not.toEqual(task.generate({ count: 3, seed: 1 }));
}

/**
 * What is read out of a text is read again out of its canonical form.
 *
 * @returns its key and whether it is right; null when the text holds no answer
 */
export function readTwice<Instance extends object, Hypothesis>(
  task: Pick<Task<Instance, Hypothesis, GenerateOptions>, 'parse' | 'key' | 'render' | 'verify'>,
  text: string,
  instance: Instance,
): { key: string; valid: boolean } | null {
  const found = task.parse(text, instance);
  if (found === null) return null;
  const key = task.key(found);
  expect(task.key(task.parse(task.render(found, instance), instance)!)).toBe(key);
  return { key, valid: task.verify(found, instance) };
}
