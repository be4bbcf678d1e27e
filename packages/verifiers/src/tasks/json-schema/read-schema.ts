/** A schema that is an object rather than true or false. */
export type SchemaObject = Readonly<Record<string, unknown>>;
export type Schema = boolean | SchemaObject;

/** Where subschemas stand: alone, in a list, or by name. */
const SCHEMA_KEYWORDS = [
  ...['additionalProperties', 'contains', 'else', 'if', 'items', 'not', 'propertyNames', 'then'],
  ...['unevaluatedItems', 'unevaluatedProperties'],
];
const LIST_KEYWORDS = ['allOf', 'anyOf', 'oneOf', 'prefixItems'];
const MAP_KEYWORDS = ['$defs', 'definitions', 'dependentSchemas', 'patternProperties', 'properties'];

/** Assertions of draft 2020-12, and `$ref`. */
const OTHER_KEYWORDS = [
  ...['$ref', 'const', 'dependentRequired', 'enum', 'exclusiveMaximum', 'exclusiveMinimum', 'maxContains', 'maxItems'],
  ...['maxLength', 'maxProperties', 'maximum', 'minContains', 'minItems', 'minLength', 'minProperties', 'minimum'],
  ...['multipleOf', 'pattern', 'required', 'type', 'uniqueItems'],
];

/** What says something to people and decides nothing, `format` included, as the draft has it. */
const ANNOTATIONS = [
  ...['$comment', '$schema', 'contentEncoding', 'contentMediaType', 'contentSchema', 'default', 'deprecated'],
  ...['description', 'examples', 'format', 'readOnly', 'title', 'writeOnly'],
];

const KNOWN = new Set([...SCHEMA_KEYWORDS, ...LIST_KEYWORDS, ...MAP_KEYWORDS, ...OTHER_KEYWORDS, ...ANNOTATIONS]);

const DRAFT = /^https:\/\/json-schema\.org\/draft\/2020-12\/schema#?$/;

/** Characters of a schema as JSON: it becomes code, and a few milliseconds are well spent on it. */
const LONGEST_SCHEMA = 50_000;
const DEEPEST_SCHEMA = 50;

/** Something is wrong with a schema that its writer can change. */
export class SchemaProblem extends Error {
  override readonly name = 'SchemaProblem';
}

/**
 * Checks that a schema has keywords of draft 2020-12 alone, at their places, and refers to its own parts alone. Whether their
 * values make sense is left to the draft's own schema.
 *
 * Other keywords are refused, because what compiles schemas knows some that change what a schema means. So are `$id`, anchors
 * and dynamic references: with pointers every part is at one place.
 *
 * @returns the schema's parts by pointer, as in `/properties/a`; its own pointer is empty
 * @throws SchemaProblem
 */
export function readSchema(schema: unknown): ReadonlyMap<string, Schema> {
  if (typeof schema !== 'boolean' && !isObject(schema)) {
    throw new SchemaProblem('It must be an object, true or false.');
  }
  const parts = new Map<string, Schema>();
  const refs: [from: string, to: string][] = [];
  const walk = (part: unknown, pointer: string, depth: number): void => {
    const at = pointer === '' ? 'It' : `What stands at #${pointer}`;
    if (typeof part === 'boolean') {
      parts.set(pointer, part);
      return;
    }
    if (!isObject(part)) throw new SchemaProblem(`${at} must be an object, true or false.`);
    if (depth > DEEPEST_SCHEMA) throw new SchemaProblem(`It is nested more than ${DEEPEST_SCHEMA} levels deep.`);
    parts.set(pointer, part);
    for (const [keyword, value] of Object.entries(part)) {
      if (keyword === '$id' && pointer === '') continue;
      if (!KNOWN.has(keyword)) throw new SchemaProblem(`${at} has '${keyword}'${hint(keyword)}`);
      const below = `${pointer}/${keyword}`;
      if (SCHEMA_KEYWORDS.includes(keyword)) {
        walk(value, below, depth + 1);
      } else if (LIST_KEYWORDS.includes(keyword)) {
        if (!Array.isArray(value)) throw new SchemaProblem(`${at} must have a list of schemas as '${keyword}'.`);
        value.forEach((one, i) => {
          walk(one, `${below}/${i}`, depth + 1);
        });
      } else if (MAP_KEYWORDS.includes(keyword)) {
        if (!isObject(value)) throw new SchemaProblem(`${at} must have an object of schemas as '${keyword}'.`);
        for (const [name, one] of Object.entries(value)) {
          if (name === '__proto__') throw new SchemaProblem(`${at} names '__proto__', which cannot be checked for.`);
          walk(one, `${below}/${escaped(name)}`, depth + 1);
        }
      } else if (keyword === '$ref') {
        refs.push([at, String(value)]);
      } else if (keyword === '$schema' && !DRAFT.test(String(value))) {
        throw new SchemaProblem(`Its draft is ${JSON.stringify(value)}; only 2020-12 is known.`);
      }
    }
  };
  walk(schema, '', 0);
  // After its depth is known to be bounded.
  if (JSON.stringify(schema).length > LONGEST_SCHEMA) {
    throw new SchemaProblem(`It is longer than ${LONGEST_SCHEMA} characters.`);
  }
  for (const [from, to] of refs) {
    const pointer = pointerOf(to);
    if (pointer === null || !parts.has(pointer)) {
      throw new SchemaProblem(`${from} refers to '${to}'. It must be # or a schema within, as in #/$defs/name.`);
    }
  }
  refuseEndless(parts);
  return parts;
}

/** Of a schema at a pointer, those that apply to the same value. */
export function inPlace(schema: SchemaObject, pointer: string): string[] {
  const lists = ['allOf', 'anyOf', 'oneOf'].flatMap((keyword) =>
    ((schema[keyword] ?? []) as unknown[]).map((_, i) => `${pointer}/${keyword}/${i}`),
  );
  const single = ['not', 'if', 'then', 'else'].filter((keyword) => schema[keyword] !== undefined);
  const dependent = Object.keys(schema.dependentSchemas ?? {}).map((name) => `/dependentSchemas/${escaped(name)}`);
  const ref = typeof schema.$ref === 'string' ? [pointerOf(schema.$ref)!] : [];
  return [...lists, ...single.map((keyword) => `${pointer}/${keyword}`), ...dependent.map((d) => pointer + d), ...ref];
}

/** A schema that applies itself to the same value again never comes to an end. */
function refuseEndless(parts: ReadonlyMap<string, Schema>): void {
  const done = new Set<string>();
  const under = new Set<string>();
  const visit = (pointer: string): void => {
    const part = parts.get(pointer);
    if (done.has(pointer) || typeof part !== 'object') return;
    if (under.has(pointer)) {
      throw new SchemaProblem(`What stands at #${pointer} refers to itself without going into a part of the value.`);
    }
    under.add(pointer);
    for (const next of inPlace(part, pointer)) visit(next);
    under.delete(pointer);
    done.add(pointer);
  };
  for (const pointer of parts.keys()) visit(pointer);
}

function hint(keyword: string): string {
  if (/^\$(id|anchor|dynamicAnchor|dynamicRef)$/.test(keyword)) {
    return ", which is not supported. Refer to parts of the schema by '$ref': '#/$defs/name'.";
  }
  return ', which is no keyword of JSON Schema 2020-12.';
}

/** The pointer of a `$ref` within the schema; null for other references. */
export function pointerOf(ref: string): string | null {
  if (ref !== '#' && !ref.startsWith('#/')) return null;
  try {
    // In the form that the walk uses, however the reference writes it.
    return decodeURIComponent(ref.slice(1))
      .split('/')
      .map((step) => escaped(step.replaceAll('~1', '/').replaceAll('~0', '~')))
      .join('/');
  } catch {
    return null;
  }
}

function escaped(step: string): string {
  return step.replaceAll('~', '~0').replaceAll('/', '~1');
}

/**
 * The schema with something added to each of its parts that is an object, from the inside out; `$id`, `$schema` and `contentSchema`
 * are left out.
 *
 * @param schema one that `readSchema` accepts
 */
export function withEach(schema: Schema, add: (part: SchemaObject) => SchemaObject): Schema {
  if (typeof schema === 'boolean') return schema;
  const inner = (one: unknown): Schema => withEach(one as Schema, add);
  const entries = Object.entries(schema)
    .filter(([keyword]) => !['$id', '$schema', 'contentSchema'].includes(keyword))
    .map(([keyword, value]): [string, unknown] => {
      if (SCHEMA_KEYWORDS.includes(keyword)) return [keyword, inner(value)];
      if (LIST_KEYWORDS.includes(keyword)) return [keyword, (value as unknown[]).map(inner)];
      if (!MAP_KEYWORDS.includes(keyword)) return [keyword, value];
      return [keyword, Object.fromEntries(Object.entries(value as object).map(([name, one]) => [name, inner(one)]))];
    });
  const whole: SchemaObject = Object.fromEntries(entries);
  return { ...whole, ...add(whole) };
}

/** How many schemas stand directly under a keyword; undefined if it has other values. */
export function schemasUnder(keyword: string, value: unknown): number | undefined {
  if (SCHEMA_KEYWORDS.includes(keyword)) return 1;
  if (LIST_KEYWORDS.includes(keyword)) return (value as unknown[]).length;
  return MAP_KEYWORDS.includes(keyword) ? Object.keys(value as object).length : undefined;
}

export function isObject(value: unknown): value is SchemaObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
