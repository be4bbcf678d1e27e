import type {
  ChatCompletion,
  ChatCompletionChunk,
  ChatTokenLogprob,
  CreateChatCompletionRequest,
  TokenLogprob,
  ToolCall,
} from '@polymode/contracts';
import { newId, toSeconds } from '../ids.js';
import { Completions } from './collected.js';
import type { Weights } from './served-model.js';
import { UsageCount } from './usage.js';
import type { Generated } from './worker-request.js';

type Body = CreateChatCompletionRequest;
type Logprobs = ChatCompletion['choices'][number]['logprobs'];
type Delta = ChatCompletionChunk['choices'][number]['delta'];

/** What OpenAI says of tokens that are as good as impossible: JSON has no infinity. */
export const IMPOSSIBLE = -9999;

/** The whole answer at once. */
export async function chatCompletion(
  body: Body,
  weights: Weights,
  events: AsyncIterable<Generated>,
): Promise<ChatCompletion> {
  const usage = new UsageCount();
  const completions = new Completions(body.n ?? 1);
  for await (const event of events) {
    usage.add(event);
    completions.add(event);
  }
  return {
    ...heading(weights),
    object: 'chat.completion',
    choices: completions.all.map(({ text, logprobs, reason, toolCalls }, index) => ({
      index,
      message: {
        role: 'assistant',
        content: text === '' && toolCalls.length > 0 ? null : text,
        refusal: null,
        ...calls(body, toolCalls),
      },
      logprobs: body.logprobs ? toLogprobs(logprobs) : null,
      finish_reason: finishReason(body, reason),
    })),
    usage: usage.toJSON(),
  };
}

/** The answer in pieces: a role for each choice, its text, its tool calls, why it ended; then the usage, if it is wanted. */
export async function* chatCompletionChunks(
  body: Body,
  weights: Weights,
  events: AsyncIterable<Generated>,
): AsyncGenerator<ChatCompletionChunk> {
  const usage = new UsageCount();
  const withUsage = body.stream_options?.include_usage === true;
  const head = { ...heading(weights), object: 'chat.completion.chunk' as const };
  const chunk = (
    index: number,
    delta: Delta,
    logprobs: Logprobs = null,
    finish_reason: ChatCompletionChunk['choices'][number]['finish_reason'] = null,
  ): ChatCompletionChunk => ({
    ...head,
    choices: [{ index, delta, logprobs, finish_reason }],
    ...(withUsage && { usage: null }),
  });
  for await (const event of events) {
    usage.add(event);
    if (event.type === 'prompt') {
      const n = body.n ?? 1;
      for (let i = 0; i < n; i++) yield chunk(i, { role: 'assistant', content: '', refusal: null });
    } else if (event.type === 'delta') {
      const logprobs = body.logprobs ? toLogprobs(event.logprobs ?? []) : null;
      yield chunk(event.index, { content: event.text }, logprobs);
    } else {
      const { tool_calls, function_call } = calls(body, event.toolCalls);
      if (function_call) yield chunk(event.index, { function_call });
      if (tool_calls) {
        yield chunk(event.index, { tool_calls: tool_calls.map((call, index) => ({ index, ...call })) });
      }
      yield chunk(event.index, {}, null, finishReason(body, event.reason));
    }
  }
  if (withUsage) yield { ...head, choices: [], usage: usage.toJSON() };
}

function heading({ model, fingerprint }: Weights) {
  return { id: newId('chatcmpl-'), created: toSeconds(new Date()), model, system_fingerprint: fingerprint };
}

function calls(
  { functions }: Body,
  toolCalls: readonly ToolCall[],
): Pick<ChatCompletion['choices'][number]['message'], 'tool_calls' | 'function_call'> {
  const [first] = toolCalls;
  if (!first) return {};
  if (functions != null) return { function_call: first };
  return { tool_calls: toolCalls.map((call) => ({ id: newId('call_'), type: 'function', function: call })) };
}

/** A call of a function that the request names is no reason to stop of the model's own: OpenAI says `stop`. */
function finishReason(
  { functions, function_call, tool_choice }: Body,
  reason: 'stop' | 'length' | 'tool_calls',
): ChatCompletion['choices'][number]['finish_reason'] {
  if (reason !== 'tool_calls') return reason;
  const choice = function_call ?? tool_choice;
  if (typeof choice === 'object' && choice !== null && !('allowed_tools' in choice)) return 'stop';
  return functions == null ? 'tool_calls' : 'function_call';
}

function toLogprobs(tokens: readonly TokenLogprob[]): Logprobs {
  const content = tokens.map(
    ({ top, ...token }): ChatTokenLogprob => ({ ...possible(token), top_logprobs: top.map(possible) }),
  );
  return { content, refusal: null };
}

function possible({ token, bytes, logprob }: Omit<TokenLogprob, 'top'>) {
  return { token, bytes, logprob: logprob ?? IMPOSSIBLE };
}
