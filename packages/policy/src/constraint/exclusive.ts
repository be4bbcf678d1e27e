/** Whether two branches of a oneOf exclude each other: what is written for one must never be valid for another. */
import type { References } from './conjunction.js';
import type { Located } from './keywords.js';
import { canonical, isOfType, type Shape, shapeOf } from './shape.js';

/** Schemas inside of each other that are looked at. */
const MAX_DEPTH = 5;

/** @returns false also where it cannot be told */
export function exclude(a: Located, b: Located, references: References): boolean {
  const [x, y] = [shapesOf([a], references), shapesOf([b], references)];
  return neverValid(x, y, references, 0) && neverValid(y, x, references, 0);
}

/** Shapes one of which a value of these schemas has; null where they are more than one choice apart. */
function shapesOf(schemas: readonly Located[], references: References): Shape[] {
  const { plain, choices, never } = references.expand(schemas);
  if (never) return [];
  const base = [...plain.values()];
  // Of several choices one is enough: the others only ever say more.
  const branches = choices[0]?.branches.map((branch) => [...references.expand([branch]).plain.values()]) ?? [[]];
  return branches.map((branch) => shapeOf([...new Set([...base, ...branch])]));
}

/** No value that is written for a shape of `written` is valid for one of `read`. */
function neverValid(written: readonly Shape[], read: readonly Shape[], references: References, depth: number): boolean {
  return written.every((w) => read.every((r) => apart(w, r, references, depth)));
}

function apart(written: Shape, read: Shape, references: References, depth: number): boolean {
  const fits = (value: unknown): boolean =>
    [...read.types].some((type) => isOfType(value, type)) &&
    (read.values === null || read.values.some((own) => canonical(own) === canonical(value)));
  if (written.values !== null) return !written.values.some(fits);
  const shared = [...written.types].filter(
    (t) =>
      read.types.has(t) ||
      (t === 'integer' && read.types.has('number')) ||
      (t === 'number' && read.types.has('integer')),
  );
  if (shared.length === 0) return true;
  if (read.values !== null && !read.values.some((v) => shared.some((type) => isOfType(v, type)))) return true;
  if (shared.some((type) => type !== 'object') || depth >= MAX_DEPTH) return false;
  const [a, b] = [written.object, read.object];
  if ([...b.required].some((name) => !a.names.includes(name) && a.others === null)) return true;
  return [...a.required].some((name) => {
    if (!b.names.includes(name) && b.others !== null) return false;
    const [mine, theirs] = [a.property(name), b.property(name)];
    return neverValid(shapesOf(mine, references), shapesOf(theirs, references), references, depth + 1);
  });
}
