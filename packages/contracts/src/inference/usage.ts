import { z } from 'zod';

/** Tokens of a request: of each prompt once, and of all its completions. */
export const CompletionUsage = z.object({
  prompt_tokens: z.int(),
  completion_tokens: z.int(),
  total_tokens: z.int(),
  prompt_tokens_details: z.object({ audio_tokens: z.int(), cached_tokens: z.int() }),
  completion_tokens_details: z.object({
    accepted_prediction_tokens: z.int(),
    audio_tokens: z.int(),
    reasoning_tokens: z.int(),
    rejected_prediction_tokens: z.int(),
  }),
});
export type CompletionUsage = z.infer<typeof CompletionUsage>;
