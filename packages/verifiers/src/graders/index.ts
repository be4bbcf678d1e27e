import { type Grader, type GraderConfig, GraderConfigError } from '../grader.js';
import { Definition, kindOf } from './definition.js';
import { stringCheck } from './string-check.js';
import { task } from './task.js';

/** One entry per grader type. */
const GRADERS: Readonly<Record<GraderConfig['type'], (definition: Definition) => Grader>> = {
  string_check: stringCheck,
  task,
};

/** Types of the OpenAI API that have no entry above, so that the refusal can say that the type is real. */
const NOT_AVAILABLE = ['text_similarity', 'score_model', 'label_model', 'python', 'multi', 'endpoint'];

/**
 * Makes a grader from its API definition.
 *
 * @throws GraderConfigError whose `param` is the field to change, from `grader` down
 */
export function compileGrader(definition: unknown): Grader {
  if (typeof definition !== 'object' || definition === null || Array.isArray(definition)) {
    throw new GraderConfigError(`The grader must be an object with a 'type', not ${kindOf(definition)}.`, 'grader');
  }
  const reader = new Definition(definition as Record<string, unknown>, 'grader');
  const type = reader.string('type');
  const available = Object.keys(GRADERS).join(', ');
  if (NOT_AVAILABLE.includes(type)) {
    throw new GraderConfigError(
      `Graders of type '${type}' are not available in this version. Available types: ${available}.`,
      'grader.type',
    );
  }
  if (!isAvailable(type)) {
    throw new GraderConfigError(`Unknown grader type '${type}'. Available types: ${available}.`, 'grader.type');
  }
  return GRADERS[type](reader);
}

function isAvailable(type: string): type is GraderConfig['type'] {
  return Object.hasOwn(GRADERS, type);
}
