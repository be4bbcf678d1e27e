import type { CreateCompletionRequest, GenerateInput, GenerateRequest } from '@polymode/contracts';
import { badRequest } from '../errors.js';
import { promptSeed, samplingOf } from './sampling-request.js';
import type { Weights } from './served-model.js';

const MAX_TOKENS = 16;
/** Completions of all prompts of a request together. */
const MOST_COMPLETIONS = 4096;

/**
 * What workers are asked for a request's prompts, one each.
 *
 * @throws ApiError 400 for fields that do not go together
 */
export function textRequests(body: CreateCompletionRequest, weights: Weights): GenerateRequest[] {
  const sampling = samplingOf(body, weights);
  const sampled = sampledOf(body, sampling.n);
  const inputs = inputsOf(body.prompt);
  if (inputs.length * sampled > MOST_COMPLETIONS) {
    const message = `${inputs.length} prompts of ${sampled} completions each are more than ${MOST_COMPLETIONS}. Send fewer prompts at a time.`;
    throw badRequest(message, 'prompt', 'invalid_value');
  }
  const logprobs = body.logprobs ?? null;
  return inputs.map((input, i) => ({
    ...sampling,
    input,
    n: sampled,
    seed: promptSeed(sampling.seed, i),
    maxTokens: body.max_tokens ?? MAX_TOKENS,
    // The best are those with the likeliest tokens.
    logprobs: logprobs === null && sampled > sampling.n ? 0 : logprobs,
    // Places of tokens count from the prompt's beginning, so its text must be known.
    echo: body.echo === true || (logprobs !== null && input.type === 'tokens'),
    format: { type: 'text' },
  }));
}

function sampledOf({ best_of, stream }: CreateCompletionRequest, n: number): number {
  const sampled = best_of || n;
  if (sampled < n) {
    throw badRequest(`'best_of' is ${sampled}: it must be at least 'n', which is ${n}.`, 'best_of', 'invalid_value');
  }
  if (stream && sampled > n) {
    throw badRequest(
      "'best_of' above 'n' cannot be streamed: the best are known at the end.",
      'best_of',
      'invalid_value',
    );
  }
  return sampled;
}

function inputsOf(prompt: CreateCompletionRequest['prompt']): GenerateInput[] {
  if (!Array.isArray(prompt)) return [{ type: 'text', text: prompt ?? '' }];
  if (isTokens(prompt)) return [{ type: 'tokens', tokens: prompt }];
  return prompt.map((one) => (typeof one === 'string' ? { type: 'text', text: one } : { type: 'tokens', tokens: one }));
}

function isTokens(prompt: readonly unknown[]): prompt is number[] {
  return typeof prompt[0] === 'number';
}
