import type { Item, ItemProblem } from '../../grader.js';
import { compileSchema } from './compile.js';
import { type Schema, SchemaProblem } from './read-schema.js';

/** A schema, and what a value that it accepts is asked for. */
// A type rather than an interface, so that an instance can be handed on as the fields of a row.
export type JsonSchemaInstance = {
  /** of draft 2020-12 */
  readonly schema: Schema;
  /** in words, for people and models; '' when the schema is all there is */
  readonly request: string;
};

/** What keeps a row's fields from being an instance; [] when they are one. */
export function checkItem({ schema, request }: Item): ItemProblem[] {
  const problems: ItemProblem[] = [];
  try {
    compileSchema(schema);
  } catch (error) {
    if (!(error instanceof SchemaProblem)) throw error;
    problems.push({ path: 'item.schema', message: `must be a JSON Schema. ${error.message}` });
  }
  if (request !== undefined && request !== null && typeof request !== 'string') {
    problems.push({ path: 'item.request', message: 'must be a text, or left out.' });
  }
  return problems;
}

export function asInstance(item: Item): JsonSchemaInstance {
  const { schema, request } = item as unknown as JsonSchemaInstance;
  return { schema, request: request ?? '' };
}
