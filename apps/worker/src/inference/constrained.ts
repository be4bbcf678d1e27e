import type { GenerateRequest } from '@polymode/contracts';
import type { SamplingOptions } from '@polymode/policy';
import { InferenceError } from './inference-error.js';
import type { LoadedModel } from './model-pool.js';
import type { UtteranceOptions } from './utterance.js';

/** How a request binds what its completions say. */
export interface Constrained {
  /** tokens that the completion is given to begin with */
  readonly prefix: readonly number[];
  readonly tools: UtteranceOptions['tools'];
  /** what one completion's tokens may be; null: anything */
  allowed(): SamplingOptions['allowed'] | null;
}

/** @throws InferenceError 400 for a format that cannot be kept to */
export function constraintOf(_model: LoadedModel, { input, format }: GenerateRequest): Constrained {
  const tools = input.type === 'chat' && input.tools.length > 0 && input.toolChoice !== 'none' ? 'read' : 'none';
  if (format.type !== 'text') {
    throw new InferenceError(400, `the format ${format.type} is not supported yet`, { param: 'response_format' });
  }
  return { prefix: [], tools, allowed: () => null };
}
