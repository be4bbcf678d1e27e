import { z } from 'zod';
import { samplingFields } from './sampling.js';
import { CompletionUsage } from './usage.js';

const TokenIds = z.array(z.int().min(0)).min(1);

/** Prompts of one request at most. */
const MOST_PROMPTS = 1024;

/** Fields that are none of these are accepted and change nothing. */
export const CreateCompletionRequest = z.object({
  ...samplingFields,
  /** Texts, or texts as their tokens. null is an empty text. */
  prompt: z
    .union(
      [z.string(), z.array(z.string()).min(1).max(MOST_PROMPTS), TokenIds, z.array(TokenIds).min(1).max(MOST_PROMPTS)],
      { error: `Expected a text, the ids of its tokens, or up to ${MOST_PROMPTS} of either in an array.` },
    )
    .nullable(),
  /** 16 when left out; 0 only reads the prompt. */
  max_tokens: z.int().min(0).nullish(),
  /** Tell the log-probability of each token, and of this many that were the likeliest in its place. */
  logprobs: z.int().min(0).max(5).nullish(),
  /** Begin each text with its prompt. */
  echo: z.boolean().nullish(),
  /** Sample this many, and answer the `n` that are the likeliest by token. */
  best_of: z.int().min(0).max(20).nullish(),
  /** Models here write on at the end of a text alone. */
  suffix: z
    .string()
    .max(0, { error: 'Models here write on at the end of a text and cannot fill a gap. Leave it out.' })
    .nullish(),
});
export type CreateCompletionRequest = z.infer<typeof CreateCompletionRequest>;

/** Of a text's tokens, one entry each. */
export const CompletionLogprobs = z.object({
  tokens: z.array(z.string()),
  /** Nats; null for a prompt's first token, which nothing comes before. */
  token_logprobs: z.array(z.number().nullable()),
  /** The likeliest tokens in its place and the one that is there. */
  top_logprobs: z.array(z.record(z.string(), z.number()).nullable()),
  /** Characters (Unicode code points) of prompt and completion that come before. */
  text_offset: z.array(z.int()),
});
export type CompletionLogprobs = z.infer<typeof CompletionLogprobs>;

const choiceFields = {
  text: z.string(),
  /** Completion i of prompt p is p·n + i. */
  index: z.int(),
  logprobs: CompletionLogprobs.nullable(),
};
const CompletionFinishReason = z.enum(['stop', 'length']);

const completionFields = {
  id: z.string(),
  object: z.literal('text_completion'),
  /** Seconds since 1970. */
  created: z.int(),
  /** As the request named it. */
  model: z.string(),
  /** Of the model's weights: the same fingerprint, seed and request give the same answer. */
  system_fingerprint: z.string(),
};

export const Completion = z.object({
  ...completionFields,
  choices: z.array(z.object({ ...choiceFields, finish_reason: CompletionFinishReason })),
  usage: CompletionUsage,
});
export type Completion = z.infer<typeof Completion>;

/** A piece of a streamed answer. */
export const CompletionChunk = z.object({
  ...completionFields,
  choices: z.array(z.object({ ...choiceFields, finish_reason: CompletionFinishReason.nullable() })),
  /** Only with `stream_options.include_usage`, and null in all chunks but the last. */
  usage: CompletionUsage.nullable().optional(),
});
export type CompletionChunk = z.infer<typeof CompletionChunk>;
