import { z } from 'zod';

/** A base model, a fine-tuned model or a checkpoint. */
export const Model = z.object({
  id: z.string(),
  object: z.literal('model'),
  /** Seconds since 1970. */
  created: z.int(),
  owned_by: z.string(),
});
export type Model = z.infer<typeof Model>;

export const ModelDeleted = z.object({ id: z.string(), object: z.literal('model'), deleted: z.literal(true) });
export type ModelDeleted = z.infer<typeof ModelDeleted>;

/** All at once: this list has no pages. */
export const ModelList = z.object({ object: z.literal('list'), data: z.array(Model) });
export type ModelList = z.infer<typeof ModelList>;
