import { type Grader, GraderRuntimeError } from '../grader.js';
import type { GraderServices } from '../services.js';
import type { Definition } from './definition.js';
import { modelGrader } from './model-grader.js';

/** The number that a model gives, clipped to `range`. `pass_threshold` is kept and does not change the reward. */
export function scoreModel(definition: Definition, services: GraderServices): Grader {
  definition.onlyFields(['type', 'name', 'model', 'input', 'range', 'sampling_params', 'pass_threshold']);
  const [least, most] = readRange(definition);
  return modelGrader('score_model', definition, services, {
    config: {
      range: [least, most],
      ...(definition.has('pass_threshold') && { pass_threshold: definition.number('pass_threshold') }),
    },
    schema: { type: 'number' },
    words: `number from ${least} to ${most}`,
    reward(result) {
      const written = typeof result === 'string' && result.trim() !== '';
      const score = typeof result === 'number' || written ? Number(result) : Number.NaN;
      if (!Number.isFinite(score)) {
        throw new GraderRuntimeError(
          `The judge's result is ${JSON.stringify(result)}, not a number.`,
          'model_grader_parse_error',
        );
      }
      return Math.min(Math.max(score, least), most);
    },
  });
}

function readRange(definition: Definition): [number, number] {
  if (!definition.has('range')) return [0, 1];
  const range = definition.value('range');
  if (Array.isArray(range) && range.length === 2 && range.every(Number.isFinite) && range[0] < range[1]) {
    return range as [number, number];
  }
  return definition.refuse('range', `'range' must be two numbers, the lower first, as in [0, 1].`);
}
