import type { Grader } from '../grader.js';
import { outcomeOfInput } from '../outcome.js';
import { SIMILARITIES, type SimilarityName } from '../similarity/index.js';
import { compileTemplate } from '../template.js';
import type { Definition } from './definition.js';

/**
 * How alike the filled `input` and the filled `reference` are, 0..1. `pass_threshold` is kept for those who read it; it
 * does not change the reward.
 */
export function textSimilarity(definition: Definition): Grader {
  definition.onlyFields(['type', 'name', 'input', 'reference', 'evaluation_metric', 'pass_threshold']);
  const config = {
    type: 'text_similarity' as const,
    name: definition.name(),
    input: definition.string('input'),
    reference: definition.string('reference'),
    evaluation_metric: definition.oneOf('evaluation_metric', Object.keys(SIMILARITIES) as SimilarityName[], {
      cosine: "'cosine' compares embeddings and is available in evals only, not in reinforcement fine-tuning.",
      rouge: "Choose one of 'rouge_1' to 'rouge_5' or 'rouge_l'.",
    }),
    ...(definition.has('pass_threshold') && { pass_threshold: definition.number('pass_threshold') }),
  };
  const input = compileTemplate(config.input, `${definition.param}.input`);
  const reference = compileTemplate(config.reference, `${definition.param}.reference`);
  const similarity = SIMILARITIES[config.evaluation_metric];
  return {
    config,
    name: config.name,
    type: config.type,
    defaultOutcome: outcomeOfInput(config.input, input),
    checkItem: (item) => [...input.checkItem(item), ...reference.checkItem(item)],
    grade: async (sample, item, options) => ({
      reward: await similarity(input.fill(sample, item), reference.fill(sample, item), options?.signal),
    }),
  };
}
