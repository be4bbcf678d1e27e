import { z } from 'zod';
import { ChatMessage } from './chat-messages.js';
import { toolFields } from './chat-tools.js';
import { Identifier, samplingFields, storingFields } from './sampling.js';
import { CompletionUsage } from './usage.js';

/** What the answer's text must be. */
export const ResponseFormat = z.discriminatedUnion(
  'type',
  [
    z.object({ type: z.literal('text') }),
    z.object({ type: z.literal('json_object') }),
    z.object({
      type: z.literal('json_schema'),
      json_schema: z.object({
        name: Identifier,
        description: z.string().nullish(),
        /** Any object when left out. */
        schema: z.record(z.string(), z.unknown()).nullish(),
        /** Answers follow the schema whether it is set or not. */
        strict: z.boolean().nullish(),
      }),
    }),
  ],
  { error: "Expected 'text', 'json_object' or 'json_schema'." },
);
export type ResponseFormat = z.infer<typeof ResponseFormat>;

/** Fields that are none of these are accepted and change nothing. */
export const CreateChatCompletionRequest = z.object({
  ...samplingFields,
  ...storingFields,
  ...toolFields,
  messages: z.array(ChatMessage).min(1),
  /** As many as the context has room for when left out. */
  max_completion_tokens: z.int().min(1).nullish(),
  /** What `max_completion_tokens` was before. */
  max_tokens: z.int().min(1).nullish(),
  /** Tell the log-probability of each token. */
  logprobs: z.boolean().nullish(),
  /** And of this many that were the likeliest in its place. */
  top_logprobs: z.int().min(0).max(20).nullish(),
  response_format: ResponseFormat.nullish(),
});
export type CreateChatCompletionRequest = z.infer<typeof CreateChatCompletionRequest>;

const tokenFields = {
  token: z.string(),
  /** UTF-8; null for tokens that have no text. */
  bytes: z.array(z.int()).nullable(),
  /** Nats, of the model's own distribution; -9999 for what is as good as impossible. */
  logprob: z.number(),
};
export const ChatTokenLogprob = z.object({ ...tokenFields, top_logprobs: z.array(z.object(tokenFields)) });
export type ChatTokenLogprob = z.infer<typeof ChatTokenLogprob>;

const ChatLogprobs = z.object({ content: z.array(ChatTokenLogprob), refusal: z.null() });

const ChatFinishReason = z.enum(['stop', 'length', 'tool_calls', 'function_call']);

const FunctionCall = z.object({ name: z.string(), arguments: z.string() });
const ChatToolCall = z.object({ id: z.string(), type: z.literal('function'), function: FunctionCall });

const completionFields = {
  id: z.string(),
  /** Seconds since 1970. */
  created: z.int(),
  /** As the request named it. */
  model: z.string(),
  /** Of the model's weights: the same fingerprint, seed and request give the same answer. */
  system_fingerprint: z.string(),
};

export const ChatCompletion = z.object({
  ...completionFields,
  object: z.literal('chat.completion'),
  choices: z.array(
    z.object({
      index: z.int(),
      message: z.object({
        role: z.literal('assistant'),
        /** null when the model called tools and said nothing. */
        content: z.string().nullable(),
        refusal: z.null(),
        tool_calls: z.array(ChatToolCall).optional(),
        function_call: FunctionCall.optional(),
      }),
      logprobs: ChatLogprobs.nullable(),
      finish_reason: ChatFinishReason,
    }),
  ),
  usage: CompletionUsage,
});
export type ChatCompletion = z.infer<typeof ChatCompletion>;

/** A piece of a streamed answer. */
export const ChatCompletionChunk = z.object({
  ...completionFields,
  object: z.literal('chat.completion.chunk'),
  choices: z.array(
    z.object({
      index: z.int(),
      delta: z.object({
        role: z.literal('assistant').optional(),
        content: z.string().nullish(),
        refusal: z.null().optional(),
        tool_calls: z.array(ChatToolCall.extend({ index: z.int() })).optional(),
        function_call: FunctionCall.optional(),
      }),
      logprobs: ChatLogprobs.nullable(),
      finish_reason: ChatFinishReason.nullable(),
    }),
  ),
  /** Only with `stream_options.include_usage`, and null in all chunks but the last. */
  usage: CompletionUsage.nullable().optional(),
});
export type ChatCompletionChunk = z.infer<typeof ChatCompletionChunk>;
