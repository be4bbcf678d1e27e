import type { Grader } from '../grader.js';
import { outcomeOfInput } from '../outcome.js';
import { compileTemplate } from '../template.js';
import type { Definition } from './definition.js';

type StringCheckOperation = 'eq' | 'ne' | 'like' | 'ilike';

const OPERATIONS: Readonly<Record<StringCheckOperation, (input: string, reference: string) => boolean>> = {
  eq: (input, reference) => input === reference,
  ne: (input, reference) => input !== reference,
  like: (input, reference) => input.includes(reference),
  ilike: (input, reference) => input.toLowerCase().includes(reference.toLowerCase()),
};

/**
 * 1 when the filled `input` stands to the filled `reference` as `operation` says, else 0: `eq` equal, `ne` different,
 * `like` contains it, `ilike` contains it in any letter case.
 */
export function stringCheck(definition: Definition): Grader {
  definition.onlyFields(['type', 'name', 'input', 'reference', 'operation']);
  const config = {
    type: 'string_check' as const,
    name: definition.name(),
    input: definition.string('input'),
    reference: definition.string('reference'),
    operation: definition.oneOf('operation', Object.keys(OPERATIONS) as StringCheckOperation[], {
      neq: "Not equal is written 'ne'.",
      equals: "Equal is written 'eq'.",
    }),
  };
  const input = compileTemplate(config.input, `${definition.param}.input`);
  const reference = compileTemplate(config.reference, `${definition.param}.reference`);
  const holds = OPERATIONS[config.operation];
  return {
    config,
    name: config.name,
    type: config.type,
    defaultOutcome: outcomeOfInput(config.input, input),
    checkItem: (item) => [...input.checkItem(item), ...reference.checkItem(item)],
    grade: async (sample, item) => ({
      reward: holds(input.fill(sample, item), reference.fill(sample, item)) ? 1 : 0,
    }),
  };
}
