/**
 * Schemas that a value has to fulfil all at once: `$ref`, `allOf` and keywords beside each other come to that. What is left are
 * schemas of keywords that say something themselves, and choices (`anyOf`, `oneOf`).
 */
import { pointerTo, SchemaError } from './error.js';
import { checkKeywords, type Located, type Schema, type SchemaObject } from './keywords.js';

export interface Choice {
  readonly pointer: string;
  readonly keyword: 'anyOf' | 'oneOf';
  readonly branches: readonly Located[];
  /** the schema that has it */
  readonly of: SchemaObject;
}

export interface Conjunction {
  /** by their own keywords, each once */
  readonly plain: ReadonlyMap<SchemaObject, Located>;
  readonly choices: readonly Choice[];
  /** a schema is `false`: no value fulfils it */
  readonly never: boolean;
}

export class References {
  /** @param base pointer of the root */
  constructor(
    private readonly root: Schema,
    private readonly base: string,
  ) {}

  /** What a set of schemas comes to. @throws SchemaError for a reference to nowhere or to itself */
  expand(schemas: readonly Located[]): Conjunction {
    const plain = new Map<SchemaObject, Located>();
    const choices: Choice[] = [];
    const open = new Set<SchemaObject>();
    let never = false;
    const add = (located: Located): void => {
      const { schema, pointer } = located;
      if (typeof schema === 'boolean') {
        never ||= !schema;
        return;
      }
      if (open.has(schema)) throw selfReference(pointer);
      if (plain.has(schema)) return;
      checkKeywords(located);
      plain.set(schema, located);
      open.add(schema);
      if (typeof schema.$ref === 'string') add(this.resolve(schema.$ref, pointer));
      for (const member of listed(located, 'allOf')) add(member);
      open.delete(schema);
      for (const keyword of ['anyOf', 'oneOf'] as const) {
        const branches = listed(located, keyword);
        if (branches.length > 0) choices.push({ pointer: pointerTo(pointer, keyword), keyword, branches, of: schema });
      }
    };
    for (const located of schemas) add(located);
    return { plain, choices, never };
  }

  private resolve(ref: string, pointer: string): Located {
    const at = pointerTo(pointer, '$ref');
    const wrong = (): SchemaError =>
      new SchemaError(at, `is ${JSON.stringify(ref)}, but must point into this schema, such as "#/$defs/name"`);
    if (ref !== '#' && !ref.startsWith('#/')) throw wrong();
    let target: unknown = this.root;
    let fragment: string;
    try {
      fragment = decodeURIComponent(ref.slice(1));
    } catch {
      throw wrong();
    }
    for (const step of fragment.split('/').slice(1)) {
      const key = step.replaceAll('~1', '/').replaceAll('~0', '~');
      if (typeof target !== 'object' || target === null || !Object.hasOwn(target, key)) throw wrong();
      target = (target as Record<string, unknown>)[key];
    }
    if (typeof target !== 'boolean' && (typeof target !== 'object' || target === null || Array.isArray(target)))
      throw wrong();
    return { schema: target as Schema, pointer: this.base + fragment };
  }
}

export function selfReference(pointer: string): SchemaError {
  return new SchemaError(pointer, 'refers to itself with no object or array between: no value would ever end');
}

function listed({ schema, pointer }: Located, keyword: 'allOf' | 'anyOf' | 'oneOf'): Located[] {
  const members = ((schema as SchemaObject)[keyword] ?? []) as readonly Schema[];
  return members.map((member, i) => ({ schema: member, pointer: pointerTo(pointer, keyword, i) }));
}
