import { z } from 'zod';

/**
 * What the API and the inference server of a worker say to each other, over HTTP: `POST {url}/generate` with a bearer token and a
 * {@link GenerateRequest}. The answer is 200 and lines of JSON, each a {@link GenerateEvent}, or another status and a
 * {@link GenerateFailure}. Closing the connection cancels the request.
 */

/** A tool that the model may call, in the form of chat completions. */
const Tool = z.looseObject({ type: z.literal('function'), function: z.looseObject({ name: z.string() }) });

export const GenerateInput = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('chat'),
    /** As chat completions take them. */
    messages: z.array(z.looseObject({ role: z.string() })),
    tools: z.array(Tool).default([]),
    /** Which tool must be called; `auto`: the model decides; `none`: the model is not told of any. */
    toolChoice: z.union([z.enum(['none', 'auto', 'required']), z.object({ name: z.string() })]).default('auto'),
    parallelToolCalls: z.boolean().default(true),
  }),
  z.object({ type: z.literal('text'), text: z.string() }),
  z.object({ type: z.literal('tokens'), tokens: z.array(z.int()) }),
]);
export type GenerateInput = z.infer<typeof GenerateInput>;

/** What a completion's text must be. */
export const OutputFormat = z.discriminatedUnion('type', [
  z.object({ type: z.literal('text') }),
  /** A JSON object. */
  z.object({ type: z.literal('json_object') }),
  /** JSON that a JSON Schema accepts. */
  z.object({ type: z.literal('json_schema'), schema: z.record(z.string(), z.unknown()) }),
]);
export type OutputFormat = z.infer<typeof OutputFormat>;

export const GenerateRequest = z.object({
  /** As the caller named it; for logs and metrics. */
  model: z.string(),
  baseModel: z.string(),
  /** Checkpoint whose weights or adapter to use; null: the base model itself. */
  checkpointId: z.string().nullable(),
  input: GenerateInput,
  /** Completions wanted. */
  n: z.int().min(1).max(128),
  /** Completion i of a request depends on it, on i and on the rest of the request alone. */
  seed: z
    .int()
    .min(0)
    .max(2 ** 32 - 1),
  /** 0: only the prompt is read, for `echo`. null: as many as the context has room for. */
  maxTokens: z.int().min(0).nullable(),
  temperature: z.number(),
  topP: z.number(),
  presencePenalty: z.number(),
  frequencyPenalty: z.number(),
  /** Pairs of token and bias. */
  logitBias: z.array(z.tuple([z.int(), z.number()])),
  stop: z.array(z.string()),
  /** null: no log-probabilities; else how many of the likeliest tokens to tell at each place, beside the one drawn. */
  logprobs: z.int().min(0).max(20).nullable(),
  /** Tell the prompt's text too, and its log-probabilities if those are wanted. */
  echo: z.boolean(),
  format: OutputFormat,
});
export type GenerateRequest = z.infer<typeof GenerateRequest>;

const TokenText = z.object({
  /** The token's text; where it is part of a character only, `bytes:` and its bytes as `\xe2`. */
  token: z.string(),
  /** UTF-8; null for special tokens that have no text. */
  bytes: z.array(z.int()).nullable(),
  /** Nats, of the model's own distribution at temperature 1. null for the first token of a prompt, which nothing comes before. */
  logprob: z.number().nullable(),
});

export const TokenLogprob = TokenText.extend({ top: z.array(TokenText) });
export type TokenLogprob = z.infer<typeof TokenLogprob>;

export const ToolCall = z.object({ name: z.string(), arguments: z.string() });
export type ToolCall = z.infer<typeof ToolCall>;

export const GenerateEvent = z.discriminatedUnion('type', [
  /** First, and once: the prompt was read. */
  z.object({
    type: z.literal('prompt'),
    tokens: z.int(),
    /** With `echo`. */
    text: z.string().nullable(),
    logprobs: z.array(TokenLogprob).nullable(),
  }),
  /**
   * More of completion `index`. Its texts, joined, are its text; its `logprobs`, joined, are one for each token of that text: not of
   * a stop token, a stop string or a tool call.
   */
  z.object({
    type: z.literal('delta'),
    index: z.int(),
    text: z.string(),
    logprobs: z.array(TokenLogprob).nullable(),
  }),
  /** Completion `index` has ended. Text of its tool calls was in no delta. */
  z.object({
    type: z.literal('finish'),
    index: z.int(),
    reason: z.enum(['stop', 'length', 'tool_calls']),
    toolCalls: z.array(ToolCall),
    /** The stop token included. */
    tokens: z.int(),
  }),
  /** Last, if nothing failed. */
  z.object({ type: z.literal('end') }),
  /** Last, if something did after the status had been sent. */
  z.object({ type: z.literal('error'), message: z.string() }),
]);
export type GenerateEvent = z.infer<typeof GenerateEvent>;

/**
 * 400: the request cannot be served as it is. 401: the token is not this worker's. 404: no such model here. 413: more than 16 MiB.
 * 503: no memory for it now. 500: a fault of ours.
 */
export const GenerateFailure = z.object({
  message: z.string(),
  /** Field of the API's request to change. */
  param: z.string().nullable(),
  code: z.string().nullable(),
});
export type GenerateFailure = z.infer<typeof GenerateFailure>;
