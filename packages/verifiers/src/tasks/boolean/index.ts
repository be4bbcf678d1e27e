import type { Item } from '../../grader.js';
import { type Assessment, rightOrWrong, UNREAD } from '../../task.js';
import { defineTask } from '../define-task.js';
import { findExpression } from './answer.js';
import { type Expression, infix } from './expression.js';
import { expressionFromKey, parseExpression } from './grammar.js';
import { checkItem } from './item.js';
import { compactPrompt, fullPrompt } from './prompts.js';
import { agrees, type BooleanInstance, spaceOf } from './space.js';
import { type BooleanOptions, partialTables } from './tables.js';

/**
 * Expressions that agree with part of a truth table: HypoSpace's Boolean genetic interactions, read by a strict grammar
 * and never evaluated as code.
 *
 * An answer is valid if its canonical key is in the enumerated space and it agrees with every observation.
 */
export const booleanTask = defineTask<BooleanInstance, Expression, BooleanOptions>({
  name: 'hypospace/boolean',
  checkItem,
  asInstance,
  assess(text, item): Assessment {
    const instance = asInstance(item);
    const expression = parse(text, instance);
    if (expression === null) return UNREAD;
    const inSpace = spaceOf(instance).has(expression.key);
    return rightOrWrong(expression.key, inSpace && agrees(expression, instance.observations), inSpace);
  },
  instances: partialTables,
  prompt: (instance, style) => (style === 'full' ? fullPrompt(instance) : compactPrompt(instance)),
  parse,
  verify: (expression, instance) => spaceOf(instance).has(expression.key) && agrees(expression, instance.observations),
  key: (expression) => expression.key,
  render(answer, instance) {
    const expression = typeof answer === 'string' ? expressionFromKey(answer) : answer;
    return `Expression: ${infix(expression, instance.operators)}`;
  },
  admissibleSet: (instance) => admissible(instance).sort(),
  admissibleCount: (instance) => admissible(instance).length,
});

function parse(text: string, instance: BooleanInstance): Expression | null {
  const found = findExpression(text);
  return found === null ? null : parseExpression(found, instance.variables);
}

function admissible(instance: BooleanInstance): string[] {
  return [...spaceOf(instance).values()].filter((e) => agrees(e, instance.observations)).map((e) => e.key);
}

function asInstance(item: Item): BooleanInstance {
  const { variables, operators, max_depth, observations } = item as unknown as BooleanInstance;
  return { variables, operators, max_depth, observations };
}
