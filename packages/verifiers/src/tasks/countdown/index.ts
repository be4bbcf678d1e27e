import { defineTask } from '../define-task.js';
import { parseAnswer } from './answer.js';
import { type CountdownOptions, draws } from './draws.js';
import type { Expression } from './expression.js';
import { expressionFromKey } from './grammar.js';
import { asInstance, checkItem } from './item.js';
import { compactPrompt, fullPrompt } from './prompts.js';
import { type CountdownInstance, reaches, solutions } from './space.js';

/**
 * Reaching a number with others: the numbers round of Countdown, read by a strict grammar and never evaluated as code.
 *
 * An answer is valid if it uses given numbers, each at most once, and equals the target with positive whole numbers all the way.
 * Those that differ in the order or grouping of sums and products alone are the same answer.
 */
export const countdownTask = defineTask<CountdownInstance, Expression, CountdownOptions>({
  name: 'arithmetic/countdown',
  checkItem,
  asInstance,
  instances: draws,
  prompt: (instance, style) => (style === 'full' ? fullPrompt(instance) : compactPrompt(instance)),
  parse: parseAnswer,
  verify: reaches,
  key: (expression) => expression.key,
  render: (answer) => (typeof answer === 'string' ? expressionFromKey(answer) : answer).key,
  admissibleSet: (instance) =>
    solutions(instance)
      .map(({ key }) => key)
      .sort(),
});
