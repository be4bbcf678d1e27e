import { z } from 'zod';
import { Metadata } from '../fine-tuning-jobs.js';

/** Letters, digits, `_` and `-`: names of tools and of schemas. */
export const Identifier = z
  .string()
  .regex(/^[\w-]{1,64}$/, { error: "Expected up to 64 letters, digits, '_' and '-'." });

/** A whole number of up to 64 bits. JSON numbers of that size are not exact, and need not be. */
const Seed = z
  .number()
  .multipleOf(1, { error: 'Expected an integer.' })
  // That one takes what is close to a multiple.
  .refine(Number.isInteger, { error: 'Expected an integer.' })
  .min(-(2 ** 63))
  .max(2 ** 63);

const TokenId = z.string().regex(/^\d{1,10}$/, { error: 'Expected the id of a token, such as "50256".' });

/** Fields that chat completions and completions have alike. */
export const samplingFields = {
  /** A base model, a fine-tuned model, or a checkpoint. */
  model: z.string().min(1),
  /** Completions of each prompt; 1 when left out. */
  n: z.int().min(1).max(128).nullish(),
  /** 1 when left out; 0 takes the likeliest token always. */
  temperature: z.number().min(0).max(2).nullish(),
  /** Only the likeliest tokens that have this much probability together are drawn; 1 when left out. */
  top_p: z.number().min(0).max(1).nullish(),
  /** Taken off the logits of tokens that were sampled, once. */
  presence_penalty: z.number().min(-2).max(2).nullish(),
  /** Taken off the logits of tokens that were sampled, each time. */
  frequency_penalty: z.number().min(-2).max(2).nullish(),
  /** Added to the logits of tokens, by their ids. */
  logit_bias: z.record(TokenId, z.number().min(-100).max(100)).nullish(),
  /** Texts that end a completion and are not part of it. */
  stop: z.union([z.string().min(1), z.array(z.string().min(1)).max(4)]).nullish(),
  /** The same seed and the same request give the same answer; random when left out. */
  seed: Seed.nullish(),
  /** Server-sent events, a chunk each, and `[DONE]` at the end. */
  stream: z.boolean().nullish(),
  stream_options: z
    .object({
      /** A last chunk that has no choices and tells the usage. */
      include_usage: z.boolean().nullish(),
    })
    .nullish(),
  /** Accepted for clients that send it. */
  user: z.string().nullish(),
};

/** Accepted for clients that send them: completions are not kept. */
export const storingFields = {
  store: z.boolean().nullish(),
  metadata: Metadata.nullish(),
};
