import { drawDistinct, randomIntegers } from '../../random.js';
import { canonicalJson } from '../../sample.js';
import type { GenerateOptions } from '../../task.js';
import { requireInteger } from '../require-integer.js';
import { compileSchema } from './compile.js';
import type { JsonSchemaInstance } from './item.js';
import type { SchemaObject } from './read-schema.js';
import { type FieldKind, TOPICS } from './topics.js';
import { acceptedValues } from './values.js';

export interface JsonSchemaOptions extends GenerateOptions {
  /** fields of an object, 1..6. @defaultValue 3 */
  readonly fields?: number;
  /** values that a schema accepts at least. @defaultValue 4 */
  readonly minAnswers?: number;
  /** values that a schema accepts at most, up to 10000. @defaultValue 200, or `minAnswers` if that is more */
  readonly maxAnswers?: number;
}

/** Schemas in a row that are dropped before the draw is given up. */
const MOST_MISSES = 300;

/**
 * Schemas of everyday objects that accept finitely many values: words from a list, small ranges, flags, short lists, fields that may
 * be missing or null, and one in four with kinds that have fields of their own. All different.
 *
 * @throws RangeError without `count`, and where there are fewer than `count`
 */
export function draws(options: JsonSchemaOptions): JsonSchemaInstance[] {
  const { fields = 3, minAnswers = 4, count, seed = 0 } = options;
  const { maxAnswers = Math.max(200, minAnswers) } = options;
  requireInteger('fields', fields, 1, 6);
  requireInteger('minAnswers', minAnswers, 1, 10_000);
  requireInteger('maxAnswers', maxAnswers, minAnswers, 10_000);
  requireInteger('seed', seed, Number.MIN_SAFE_INTEGER);
  if (count === undefined) throw new RangeError('There are too many schemas to list them all. Set count to draw some.');
  requireInteger('count', count, 1);
  const draw = drawer(seed);
  const found = new Map<string, JsonSchemaInstance>();
  for (let misses = 0; found.size < count; misses++) {
    if (misses === MOST_MISSES) {
      throw new RangeError(
        `Found ${found.size} schemas, not ${count}. Widen minAnswers and maxAnswers, or change fields.`,
      );
    }
    const instance = draw.instance(fields);
    const id = canonicalJson(instance);
    if (found.has(id) || !within(instance, minAnswers, maxAnswers)) continue;
    found.set(id, instance);
    misses = 0;
  }
  return [...found.values()];
}

function within({ schema }: JsonSchemaInstance, least: number, most: number): boolean {
  const answers = acceptedValues(compileSchema(schema)).length;
  return answers >= least && answers <= most;
}

function drawer(seed: number) {
  const random = randomIntegers(seed);
  const oneIn = (n: number): boolean => random(n) === 0;
  /** Some of a list, in its order. */
  const pick = <T>(list: readonly T[], count: number): T[] => {
    const chosen = drawDistinct(Math.min(count, list.length), list.length, random(2 ** 31));
    return chosen.sort((a, b) => a - b).map((i) => list[i]!);
  };

  const field = (kind: FieldKind): SchemaObject => {
    if ('flag' in kind) return { type: 'boolean' };
    if ('one' in kind) {
      const words = pick(kind.one, 2 + random(3));
      if (oneIn(8)) return { const: words[0]! };
      return oneIn(6) ? { enum: [...words, null] } : { type: 'string', enum: words };
    }
    if ('range' in kind) {
      const [least, most] = kind.range;
      const minimum = least + random(most - least);
      return { type: 'integer', minimum, maximum: Math.min(most, minimum + 1 + random(3)) };
    }
    const items = { enum: pick(kind.some, 2 + random(2)) };
    const maxItems = 1 + random(2);
    return { type: 'array', items, minItems: random(maxItems + 1), maxItems, uniqueItems: true };
  };

  const object = (fields: readonly (readonly [string, SchemaObject])[], mayMiss: boolean): SchemaObject => {
    const required = fields.map(([name]) => name).filter((name) => name === 'kind' || !mayMiss || !oneIn(4));
    return { type: 'object', properties: Object.fromEntries(fields), required, additionalProperties: false };
  };

  const instance = (count: number): JsonSchemaInstance => {
    const topic = TOPICS[random(TOPICS.length)]!;
    const fields = (n: number) =>
      pick(Object.entries(topic.fields), n).map(([name, kind]) => [name, field(kind)] as const);
    if (!oneIn(4)) return { schema: object(fields(count), true), request: topic.request };
    const oneOf = pick(topic.kinds, 2).map((kind) =>
      object([['kind', { const: kind }], ...fields(Math.max(1, count - 1))], false),
    );
    return { schema: { oneOf }, request: topic.request };
  };
  return { instance };
}
