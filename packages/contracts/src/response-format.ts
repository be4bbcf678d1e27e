import { z } from 'zod';

/** `response_format` of reinforcement: answers are JSON that a schema accepts, which graders read as `sample.output_json`. */
export const ResponseFormat = z.strictObject({
  type: z.literal('json_schema', { error: "Supported values are: 'json_schema'." }),
  json_schema: z.strictObject({
    name: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, { error: "Expected 1 to 64 letters, digits, '_' and '-'." }),
    description: z.string().optional(),
    /** False when left out. */
    strict: z.boolean().nullish(),
    /** A JSON Schema that sampling can keep to; @polymode/policy/json-schema checks it. */
    schema: z.record(z.string(), z.unknown()),
  }),
});
export type ResponseFormat = z.infer<typeof ResponseFormat>;
