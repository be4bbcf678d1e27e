import { Ajv2020 } from 'ajv/dist/2020.js';
import { isDeeper } from './sample.js';

/** Levels of a schema; what reads schemas calls itself as often. */
const DEEPEST = 100;

const checker = new Ajv2020({ strict: false, validateFormats: false });

/**
 * Looks at a JSON Schema, by the meta-schema of draft 2020-12, which takes what earlier drafts have in common with it.
 *
 * @returns what is wrong with it and where, or null
 */
export function schemaProblem(schema: Readonly<Record<string, unknown>>): string | null {
  if (isDeeper(schema, DEEPEST)) return `it nests deeper than ${DEEPEST} levels`;
  // Which draft it names does not matter, and others than this are not at hand.
  const { $schema: _, ...rest } = schema;
  if (checker.validateSchema(rest)) return null;
  const [error] = checker.errors ?? [];
  return `${error?.instancePath || '/'} ${error?.message ?? 'is no schema'}`;
}
