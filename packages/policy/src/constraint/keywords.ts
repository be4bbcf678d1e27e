/** What a JSON Schema may say here, and of which kind each word's value is. */
import { pointerTo, SchemaError } from './error.js';

export type SchemaObject = Readonly<Record<string, unknown>>;
export type Schema = boolean | SchemaObject;

/** A schema, and where it stands. */
export interface Located {
  readonly schema: Schema;
  readonly pointer: string;
}

export const TYPES = ['null', 'boolean', 'integer', 'number', 'string', 'object', 'array'] as const;
export type Type = (typeof TYPES)[number];

const ANNOTATIONS = new Set([
  'title',
  'description',
  'default',
  'examples',
  'example',
  'deprecated',
  'readOnly',
  'writeOnly',
  '$schema',
  '$id',
  '$comment',
  '$defs',
  'definitions',
  'discriminator',
  'contentEncoding',
  'contentMediaType',
  'contentSchema',
]);

const isCount = (value: unknown): boolean => Number.isInteger(value) && (value as number) >= 0;
const isNumber = (value: unknown): boolean => typeof value === 'number' && Number.isFinite(value);
const isSchema = (value: unknown): boolean => typeof value === 'boolean' || isObject(value);
const isSchemas = (value: unknown): boolean => Array.isArray(value) && value.length > 0 && value.every(isSchema);
const isText = (value: unknown): boolean => typeof value === 'string';

/** Each keyword's condition, and that in words. */
const KEYWORDS: Readonly<Record<string, readonly [(value: unknown) => boolean, string]>> = {
  $ref: [isText, 'text'],
  type: [
    (value) => [value].flat().length > 0 && [value].flat().every((t) => TYPES.includes(t as Type)),
    `one of ${TYPES.join(', ')}, or a list of them`,
  ],
  enum: [(value) => Array.isArray(value) && value.length > 0, 'a list of at least one value'],
  const: [() => true, 'a value'],
  properties: [(value) => isObject(value) && Object.values(value).every(isSchema), 'an object of schemas'],
  required: [(value) => Array.isArray(value) && value.every(isText), 'a list of names'],
  additionalProperties: [isSchema, 'a schema'],
  minProperties: [isCount, 'a whole number'],
  maxProperties: [isCount, 'a whole number'],
  items: [(value) => isSchema(value) || isSchemas(value), 'a schema'],
  prefixItems: [isSchemas, 'a list of schemas'],
  additionalItems: [isSchema, 'a schema'],
  minItems: [isCount, 'a whole number'],
  maxItems: [isCount, 'a whole number'],
  uniqueItems: [(value) => typeof value === 'boolean', 'true or false'],
  minLength: [isCount, 'a whole number'],
  maxLength: [isCount, 'a whole number'],
  pattern: [isText, 'text'],
  format: [isText, 'text'],
  minimum: [isNumber, 'a number'],
  maximum: [isNumber, 'a number'],
  exclusiveMinimum: [isNumber, 'a number'],
  exclusiveMaximum: [isNumber, 'a number'],
  multipleOf: [(value) => isNumber(value) && (value as number) > 0, 'a number above 0'],
  anyOf: [isSchemas, 'a list of schemas'],
  oneOf: [isSchemas, 'a list of schemas'],
  allOf: [isSchemas, 'a list of schemas'],
};

/** What to write in place of keywords that are known, but cannot be followed. */
const INSTEAD: ReadonlyMap<string, string> = new Map([
  ['nullable', 'write "type": [..., "null"]'],
  ['not', 'say what is allowed instead'],
  ['if', 'write anyOf'],
  ['then', 'write anyOf'],
  ['else', 'write anyOf'],
  ['patternProperties', 'write properties or additionalProperties'],
  ['propertyNames', 'leave it out'],
  ['unevaluatedProperties', 'write additionalProperties'],
  ['unevaluatedItems', 'write items'],
  ['contains', 'write prefixItems or items'],
  ['dependentRequired', 'write anyOf'],
  ['dependentSchemas', 'write anyOf'],
  ['dependencies', 'write anyOf'],
  ['$anchor', 'refer by JSON pointers'],
  ['$dynamicRef', 'write $ref'],
]);

/** @throws SchemaError for a keyword that is unknown, cannot be followed, or has a value of another kind */
export function checkKeywords({ schema, pointer }: Located): void {
  if (typeof schema === 'boolean') return;
  for (const [name, value] of Object.entries(schema)) {
    if (value === undefined || ANNOTATIONS.has(name) || name.startsWith('x-')) continue;
    const known = Object.hasOwn(KEYWORDS, name) ? KEYWORDS[name] : undefined;
    if (known === undefined) {
      const instead = INSTEAD.get(name) ?? 'remove it';
      throw new SchemaError(pointerTo(pointer, name), `is a keyword that is not supported: ${instead}`);
    }
    const [holds, wanted] = known;
    if (!holds(value)) throw new SchemaError(pointerTo(pointer, name), `must be ${wanted}`);
  }
}

export function isObject(value: unknown): value is SchemaObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Deeper schemas, and larger ones, are none that a person or a library writes. */
const MAX_DEPTH = 256;
const MAX_VALUES = 500_000;

/** @throws SchemaError for a schema too deep or too large, or one that is no JSON */
export function checkSize(schema: unknown): void {
  const stack: { value: unknown; depth: number }[] = [{ value: schema, depth: 0 }];
  for (let count = 0; stack.length > 0; ) {
    const { value, depth } = stack.pop()!;
    if (typeof value !== 'object' || value === null) continue;
    if (depth > MAX_DEPTH) throw new SchemaError('', `is more than ${MAX_DEPTH} levels deep: use $defs and $ref`);
    const inner = Object.values(value);
    count += inner.length;
    if (count > MAX_VALUES) throw new SchemaError('', `has more than ${MAX_VALUES} values: make it smaller`);
    for (const v of inner) stack.push({ value: v, depth: depth + 1 });
  }
}
