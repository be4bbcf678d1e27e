import type { Item, ItemProblem } from '../../grader.js';
import { OPERATORS, type Operator } from './expression.js';
import { isVariableName } from './grammar.js';
import { hypothesisSpace } from './space.js';

/** What keeps a row's fields from being an instance; [] when they are one. */
export function checkItem(item: Item): ItemProblem[] {
  const { variables, operators, max_depth, observations } = item;
  const problems: ItemProblem[] = [];
  const names = isDistinctList(variables, isVariableName) ? variables : null;
  if (names === null) {
    problems.push({
      path: 'item.variables',
      message: 'must be a list of different names such as ["x", "y"], none of them an operator.',
    });
  }
  const allowed = isDistinctList(operators, (o) => OPERATORS.some((known) => known === o)) ? operators : null;
  if (allowed === null) {
    problems.push({ path: 'item.operators', message: `must be a list of different ones of ${OPERATORS.join(', ')}.` });
  }
  const depthIsRight = Number.isSafeInteger(max_depth) && Number(max_depth) >= 0;
  if (!depthIsRight) {
    problems.push({ path: 'item.max_depth', message: 'must be an integer of at least 0, the levels of nesting.' });
  }
  if (names !== null && allowed !== null && depthIsRight) {
    try {
      hypothesisSpace(names, allowed as Operator[], Number(max_depth));
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      problems.push({ path: 'item.max_depth', message: `is too large: ${error.message}.` });
    }
  }
  return [...problems, ...checkObservations(observations, names ?? [])];
}

function checkObservations(observations: unknown, names: readonly string[]): ItemProblem[] {
  if (!Array.isArray(observations) || observations.length === 0) {
    return [{ path: 'item.observations', message: 'must be a list of {inputs, output}, at least one.' }];
  }
  const problems: ItemProblem[] = [];
  observations.forEach((observation: unknown, i) => {
    const path = `item.observations[${i}]`;
    if (!isObject(observation)) {
      problems.push({ path, message: 'must be an object with inputs and output.' });
      return;
    }
    const { inputs, output } = observation;
    if (!isObject(inputs) || !names.every((name) => Object.hasOwn(inputs, name) && isBit(inputs[name]))) {
      problems.push({ path: `${path}.inputs`, message: `must give 0 or 1 for each of ${names.join(', ')}.` });
    }
    if (!isBit(output)) problems.push({ path: `${path}.output`, message: 'must be 0 or 1.' });
  });
  return problems;
}

function isDistinctList(value: unknown, accepts: (name: string) => boolean): value is string[] {
  return (
    Array.isArray(value) &&
    value.length > 0 &&
    value.every((v: unknown) => typeof v === 'string' && accepts(v)) &&
    new Set(value).size === value.length
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isBit(value: unknown): value is 0 | 1 {
  return value === 0 || value === 1;
}
