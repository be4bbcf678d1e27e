import type { CreateChatCompletionRequest, FunctionTool, GenerateRequest, OutputFormat } from '@polymode/contracts';
import { badRequest } from '../errors.js';
import { samplingOf } from './sampling-request.js';
import type { Weights } from './served-model.js';

type Body = CreateChatCompletionRequest;
type Tools = Pick<Extract<GenerateRequest['input'], { type: 'chat' }>, 'tools' | 'toolChoice' | 'parallelToolCalls'>;

/**
 * What a worker is asked for a chat completion.
 *
 * @throws ApiError 400 for fields that do not go together
 */
export function chatRequest(body: Body, weights: Weights): GenerateRequest {
  return {
    ...samplingOf(body, weights),
    input: { type: 'chat', messages: body.messages, ...toolsOf(body) },
    maxTokens: maxTokensOf(body),
    logprobs: logprobsOf(body),
    echo: false,
    format: formatOf(body.response_format),
  };
}

function maxTokensOf({ max_tokens, max_completion_tokens }: Body): number | null {
  if (max_tokens != null && max_completion_tokens != null) {
    throw badRequest(
      "'max_tokens' and 'max_completion_tokens' mean the same. Set 'max_completion_tokens' alone.",
      'max_tokens',
      'invalid_value',
    );
  }
  return max_completion_tokens ?? max_tokens ?? null;
}

function logprobsOf({ logprobs, top_logprobs }: Body): number | null {
  if (logprobs) return top_logprobs ?? 0;
  if (top_logprobs == null) return null;
  throw badRequest("'top_logprobs' is only allowed when 'logprobs' is true.", 'top_logprobs', 'invalid_value');
}

function formatOf(format: Body['response_format']): OutputFormat {
  if (format?.type !== 'json_schema') return { type: format?.type ?? 'text' };
  const { schema } = format.json_schema;
  return schema == null ? { type: 'json_object' } : { type: 'json_schema', schema };
}

function toolsOf(body: Body): Tools {
  if (body.functions != null || body.function_call != null) return functionsOf(body);
  const { tool_choice: choice, parallel_tool_calls: parallel } = body;
  const tools = body.tools ?? [];
  const parallelToolCalls = parallel ?? true;
  if (choice == null || typeof choice === 'string') {
    if (choice === 'required' && tools.length === 0) throw withoutTools('tool_choice', 'tools');
    return { tools, toolChoice: choice ?? 'auto', parallelToolCalls };
  }
  if (choice.type === 'function') {
    const { name } = requireKnown(choice.function, tools, 'tool_choice', 'tools');
    return { tools, toolChoice: { name }, parallelToolCalls };
  }
  const { mode, tools: allowed } = choice.allowed_tools;
  const names = allowed.map((one) => requireKnown(one.function, tools, 'tool_choice', 'tools').name);
  return { tools: tools.filter((tool) => names.includes(tool.function.name)), toolChoice: mode, parallelToolCalls };
}

/** The fields that tools had before they were tools: one call an answer. */
function functionsOf(body: Body): Tools {
  const { functions, function_call: choice } = body;
  if (functions == null) throw withoutTools('function_call', 'functions');
  if (body.tools != null || body.tool_choice != null) {
    throw badRequest("'functions' are what 'tools' were before. Set 'tools' alone.", 'functions', 'invalid_value');
  }
  const tools = functions.map((one): FunctionTool => ({ type: 'function', function: one }));
  const toolChoice =
    choice == null || typeof choice === 'string'
      ? (choice ?? 'auto')
      : { name: requireKnown(choice, tools, 'function_call', 'functions').name };
  return { tools, toolChoice, parallelToolCalls: false };
}

function requireKnown(
  choice: { name: string },
  tools: readonly FunctionTool[],
  param: string,
  among: string,
): { name: string } {
  if (tools.length === 0) throw withoutTools(param, among);
  if (tools.some((tool) => tool.function.name === choice.name)) return choice;
  const names = tools.map((tool) => `'${tool.function.name}'`).join(', ');
  throw badRequest(`'${param}' names '${choice.name}', which is not in '${among}': ${names}.`, param, 'invalid_value');
}

function withoutTools(param: string, among: string) {
  return badRequest(`'${param}' is only allowed when '${among}' are specified.`, param, 'invalid_value');
}
