import { type Constraint, compileConstraint, type ModelConfig, SchemaError, type Tokenizer } from '@polymode/policy';
import { TrainerInputError } from './errors.js';

/**
 * What keeps completions to a schema. Tokens are drawn from those that may come next; their log-probabilities stay those of the
 * whole distribution, in sampling as in training, so that the importance ratio compares like with like.
 *
 * @throws TrainerInputError for a schema or a tokenizer with which that cannot be done
 */
export function completionConstraint(
  schema: Readonly<Record<string, unknown>> | undefined,
  tokenizer: Tokenizer,
  { vocabSize }: ModelConfig,
): Constraint | null {
  if (schema === undefined) return null;
  try {
    return compileConstraint(schema, tokenizer, { vocabularySize: vocabSize });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new TrainerInputError(
      'invalid_json_schema',
      'method.reinforcement.response_format',
      error instanceof SchemaError ? reason : `this model's answers cannot be kept to a schema: ${reason}`,
    );
  }
}

/** What the job's owner should know: a completion may be too short for the schema. */
export function formatWarnings(constraint: Constraint | null, maxTokens: number): string[] {
  if (constraint === null || constraint.minTokens <= maxTokens) return [];
  return [
    `answers of ${maxTokens} tokens may end before their JSON does: the schema's shortest takes up to ` +
      `${constraint.minTokens}. Raise max_completion_tokens.`,
  ];
}
