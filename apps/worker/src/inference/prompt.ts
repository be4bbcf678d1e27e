import type { GenerateInput, GenerateRequest } from '@polymode/contracts';
import type { Tokenizer } from '@polymode/policy';
import { InferenceError } from './inference-error.js';
import type { LoadedModel } from './model-pool.js';

/** The field of the API's request that an input comes from. */
export function inputField({ type }: GenerateInput): 'messages' | 'prompt' {
  return type === 'chat' ? 'messages' : 'prompt';
}

/**
 * The tokens that a completion continues.
 *
 * @throws InferenceError 400
 */
export function promptTokens({ tokenizer, policy }: LoadedModel, request: GenerateRequest): number[] {
  const { input, model } = request;
  const tokens = tokensOf(tokenizer, input, model);
  const refuse = (problem: string): never => {
    throw new InferenceError(400, problem, { param: inputField(input) });
  };
  if (tokens.length === 0) refuse('the prompt is empty; send some text or tokens');
  const { vocabSize } = policy.config;
  const unknown = tokens.find((t) => t < 0 || t >= vocabSize);
  if (unknown !== undefined) refuse(`the prompt has token ${unknown}, but ${model} has tokens 0 to ${vocabSize - 1}`);
  return tokens;
}

function tokensOf(tokenizer: Tokenizer, input: GenerateInput, model: string): number[] {
  switch (input.type) {
    case 'tokens':
      return input.tokens;
    case 'text':
      return tokenizer.encode(input.text);
    case 'chat':
      return chatTokens(tokenizer, input, model);
  }
}

function chatTokens(tokenizer: Tokenizer, input: Extract<GenerateInput, { type: 'chat' }>, model: string): number[] {
  const tools = input.toolChoice === 'none' ? undefined : input.tools;
  try {
    return tokenizer.encodeChat(input.messages, { tools });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new InferenceError(400, `the messages do not fit the chat template of ${model}: ${reason}`, {
      param: 'messages',
      cause,
    });
  }
}

/**
 * Tokens that a completion may have.
 *
 * @throws InferenceError 400 `context_length_exceeded`
 */
export function room(request: GenerateRequest, promptLength: number, context: number): number {
  const { maxTokens, input } = request;
  const left = context - promptLength;
  if (maxTokens === null ? left >= 1 : maxTokens <= left) return maxTokens ?? left;
  const asked = maxTokens === null ? 'a completion' : `${maxTokens} of the completion`;
  throw new InferenceError(
    400,
    `the context of ${request.model} has room for ${context} tokens, which ${promptLength} of the ` +
      `${inputField(input)} and ${asked} exceed; shorten the ${inputField(input)}${maxTokens === null ? '' : ' or ask for fewer tokens'}`,
    { param: inputField(input), code: 'context_length_exceeded' },
  );
}
