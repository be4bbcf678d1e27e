import { type Grade, type Grader, GraderConfigError, UnreadableAnswerError } from '../grader.js';
import type { GraderServices } from '../services.js';
import { farGrader } from '../thread/index.js';
import { Definition, type GraderFactory, kindOf } from './definition.js';
import { endpoint } from './endpoint.js';
import { labelModel } from './label-model.js';
import { multi } from './multi.js';
import { scoreModel } from './score-model.js';
import { stringCheck } from './string-check.js';
import { task } from './task.js';
import { textSimilarity } from './text-similarity.js';
import { userCode } from './user-code.js';

/** One entry per grader type. */
const GRADERS: Readonly<Record<string, GraderFactory>> = {
  endpoint,
  javascript: userCode('javascript'),
  label_model: labelModel,
  multi: (definition, services) => multi(definition, (part) => compile(part, services)),
  python: userCode('python'),
  score_model: scoreModel,
  string_check: stringCheck,
  task,
  text_similarity: textSimilarity,
};

/** Types that need nothing from outside. */
const ALONE: readonly string[] = ['string_check', 'task', 'text_similarity'];

/**
 * Makes a grader from its API definition.
 *
 * @param services what graders of some types need; those types are refused without
 * @throws GraderConfigError whose `param` is the field to change, from `grader` down
 */
export function compileGrader(definition: unknown, services: GraderServices = {}): Grader {
  if (typeof definition !== 'object' || definition === null || Array.isArray(definition)) {
    throw new GraderConfigError(`The grader must be an object with a 'type', not ${kindOf(definition)}.`, 'grader');
  }
  return compile(new Definition(definition as Record<string, unknown>, 'grader'), services);
}

function compile(definition: Definition, services: GraderServices): Grader {
  const type = definition.string('type');
  const available = Object.keys(GRADERS).join(', ');
  const factory = Object.hasOwn(GRADERS, type) ? GRADERS[type] : undefined;
  if (factory === undefined) {
    return definition.refuse('type', `Unknown grader type '${type}'. Available types: ${available}.`);
  }
  const grader = factory(definition, services);
  return forgiving(ALONE.includes(type) ? farGrader(grader) : grader);
}

/** Answers that cannot be read earn 0. */
function forgiving(grader: Grader): Grader {
  const { config, name, type, defaultOutcome } = grader;
  return {
    config,
    name,
    type,
    ...(defaultOutcome && { defaultOutcome }),
    checkItem: (item) => grader.checkItem(item),
    ...(grader.check && { check: (options) => grader.check!(options) }),
    async grade(sample, item, options): Promise<Grade> {
      try {
        return await grader.grade(sample, item, options);
      } catch (error) {
        if (!(error instanceof UnreadableAnswerError)) throw error;
        return { reward: 0, unreadable: { kind: error.kind, message: error.message } };
      }
    },
  };
}
