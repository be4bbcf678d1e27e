/** Whether two branches of a oneOf exclude each other: what is written for one must never be valid for another. */
import type { References } from './conjunction.js';
import type { Located, Type } from './keywords.js';
import { canonical, isOfType, type Shape, shapeOf } from './shape.js';

/** Schemas inside of each other that are looked at. */
const MAX_DEPTH = 5;

interface Context {
  readonly references: References;
  /** No other choice says more of what is written. */
  readonly alone: boolean;
}

/**
 * @param beside what a value has to fulfil whichever branch it takes, by keywords of its own
 * @param alone whether that is all: no other choice says more of what is written
 * @returns false also where it cannot be told
 */
export function exclude(
  a: Located,
  b: Located,
  beside: readonly Located[],
  references: References,
  alone: boolean,
): boolean {
  const context = { references, alone };
  return neverValid([a], [b], context, 0, beside) && neverValid([b], [a], context, 0, beside);
}

/** No value that is written for some schemas is valid for others. */
function neverValid(
  written: readonly Located[],
  read: readonly Located[],
  context: Context,
  depth: number,
  beside: readonly Located[] = [],
): boolean {
  const reading = shapesOf(read, beside, context, true).shapes;
  const { shapes, whole } = shapesOf(written, beside, context, !context.alone);
  const within = { ...context, alone: context.alone && whole };
  return shapes.every((w) => reading.every((r) => apart(w, r, within, depth)));
}

/** Shapes one of which every value of these schemas has, and whether they say all that the schemas say. */
function shapesOf(
  schemas: readonly Located[],
  beside: readonly Located[],
  { references }: Context,
  literal: boolean,
): { shapes: Shape[]; whole: boolean } {
  const { plain, choices, never } = references.expand(schemas);
  if (never) return { shapes: [], whole: true };
  const base = [...beside, ...plain.values()];
  // Of several choices one is enough: the others only ever say more.
  const branches = choices[0]?.branches.map((branch) => references.expand([branch])) ?? [];
  const whole = choices.length <= 1 && branches.every((branch) => branch.choices.length === 0);
  const sets = choices.length === 0 ? [base] : branches.map((branch) => [...base, ...branch.plain.values()]);
  return { shapes: sets.map((set) => shapeOf([...new Set(set)], literal || !whole)), whole };
}

function apart(written: Shape, read: Shape, context: Context, depth: number): boolean {
  const fits = (value: unknown): boolean =>
    [...read.types].some((type) => isOfType(value, type)) &&
    (read.values === null || read.values.some((own) => canonical(own) === canonical(value)));
  if (written.values !== null) return !written.values.some(fits);
  const sameType = (a: Type, b: Type): boolean => a === b || (isNumeric(a) && isNumeric(b));
  const shared = [...written.types].filter((type) => [...read.types].some((other) => sameType(type, other)));
  if (shared.length === 0) return true;
  if (read.values !== null && !read.values.some((v) => shared.some((type) => isOfType(v, type)))) return true;
  if (shared.some((type) => type !== 'object') || depth >= MAX_DEPTH) return false;
  const [a, b] = [written.object, read.object];
  const complete = a.shut || (context.alone && a.others === null);
  if (complete && [...b.required].some((name) => !a.names.includes(name))) return true;
  return [...a.required].some((name) => neverValid(a.property(name), b.property(name), context, depth + 1));
}

const isNumeric = (type: Type): boolean => type === 'integer' || type === 'number';
