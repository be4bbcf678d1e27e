import { createHash, randomInt } from 'node:crypto';
import type { CreateChatCompletionRequest, CreateCompletionRequest, GenerateRequest } from '@polymode/contracts';
import { badRequest } from '../errors.js';
import type { Weights } from './served-model.js';

type Body = CreateChatCompletionRequest | CreateCompletionRequest;

const SEEDS = 2 ** 32;

/** What a worker is told of the fields that both kinds of completions have. */
export type Sampling = Pick<
  GenerateRequest,
  | 'model'
  | 'baseModel'
  | 'checkpointId'
  | 'n'
  | 'seed'
  | 'temperature'
  | 'topP'
  | 'presencePenalty'
  | 'frequencyPenalty'
  | 'logitBias'
  | 'stop'
>;

/** @throws ApiError 400 */
export function samplingOf(body: Body, { model, baseModel, checkpointId }: Weights): Sampling {
  if (body.stream_options != null && body.stream !== true) {
    throw badRequest("'stream_options' is only allowed when 'stream' is true.", 'stream_options', 'invalid_value');
  }
  return {
    model,
    baseModel,
    checkpointId,
    n: body.n ?? 1,
    seed: body.seed == null ? randomInt(SEEDS) : seedOf(body.seed),
    temperature: body.temperature ?? 1,
    topP: body.top_p ?? 1,
    presencePenalty: body.presence_penalty ?? 0,
    frequencyPenalty: body.frequency_penalty ?? 0,
    logitBias: Object.entries(body.logit_bias ?? {}).map(([token, bias]) => [Number(token), bias]),
    stop: typeof body.stop === 'string' ? [body.stop] : (body.stop ?? []),
  };
}

/** Seeds that workers know stay themselves; others become one of them. */
function seedOf(seed: number): number {
  return seed >= 0 && seed < SEEDS ? seed : hashed([seed]);
}

/** Of a request's prompt, so that equal prompts have different completions; the first has the request's own. */
export function promptSeed(seed: number, prompt: number): number {
  return prompt === 0 ? seed : hashed([seed, prompt]);
}

function hashed(values: readonly number[]): number {
  return createHash('sha256').update(values.join('/')).digest().readUInt32BE(0);
}
