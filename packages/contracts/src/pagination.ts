import { z } from 'zod';

/** A whole number in a query string. */
export const queryInteger = (minimum: number, maximum: number) =>
  z.preprocess(
    (value) => (typeof value === 'string' && /^-?\d+$/.test(value) ? Number(value) : value),
    z.int().min(minimum).max(maximum),
  );

/** `true` or `false` in a query string; anything else is refused. */
export const queryFlag = z
  .preprocess((value) => (value === 'true' ? true : value === 'false' ? false : value), z.boolean())
  .default(false);

/** `after` and `limit` of a list request. @param options.fallback page size when the client names none */
export const pageQuery = (options: { fallback: number; maximum: number }) => ({
  /** Id of the last item of the page before. */
  after: z.string().min(1).optional(),
  limit: queryInteger(1, options.maximum).default(options.fallback),
});

/** The envelope of every list. `first_id` and `last_id` are null on an empty page. */
export const listOf = <Item extends z.ZodType>(item: Item) =>
  z.object({
    object: z.literal('list'),
    data: z.array(item),
    has_more: z.boolean(),
    first_id: z.string().nullable(),
    last_id: z.string().nullable(),
  });
