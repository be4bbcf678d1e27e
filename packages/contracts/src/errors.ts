import { z } from 'zod';

/** What every failed request answers: the SDKs read all four keys from under `error`. */
export const ErrorEnvelope = z.object({
  error: z.object({
    message: z.string(),
    type: z.string(),
    /** The request field, path parameter or query parameter to change; null when there is none. */
    param: z.string().nullable(),
    /** For programs. */
    code: z.string().nullable(),
  }),
});
export type ErrorEnvelope = z.infer<typeof ErrorEnvelope>;
