import type { Item, ItemProblem } from '../../grader.js';
import { BLOCK_KINDS, blockNames } from './blocks.js';
import type { BlockChoice } from './molecule.js';

/** What counts as the same answer: the molecule, or all molecules of one scaffold. */
export const OUTCOMES = ['molecule', 'scaffold'] as const;

/** The blocks that may be used, by name, and what counts as the same answer. */
// A type rather than an interface, so that an instance can be handed on as the fields of a row.
export type AmideInstance = BlockChoice & { readonly outcome: (typeof OUTCOMES)[number] };

/** What keeps a row's fields from being an instance; [] when they are one. Those that are left out mean all, and molecules. */
export function checkItem(item: Item): ItemProblem[] {
  const problems: ItemProblem[] = [];
  for (const kind of BLOCK_KINDS) {
    const names = blockNames(kind);
    // A linker is optional, so there may be none.
    const least = kind === 'linkers' ? 0 : 1;
    if (isLeftOut(item[kind]) || isDistinctPart(item[kind], names, least)) continue;
    problems.push({
      path: `item.${kind}`,
      message: `must be a list of different ones of ${names.join(', ')}${least === 0 ? '' : ', at least one'}.`,
    });
  }
  if (!isLeftOut(item.outcome) && !OUTCOMES.some((outcome) => outcome === item.outcome)) {
    problems.push({ path: 'item.outcome', message: `must be one of ${OUTCOMES.join(', ')}.` });
  }
  return problems;
}

/** @param item one that `checkItem` accepts */
export function asInstance(item: Item): AmideInstance {
  const fields = item as Partial<AmideInstance>;
  return {
    acids: fields.acids ?? blockNames('acids'),
    linkers: fields.linkers ?? blockNames('linkers'),
    amines: fields.amines ?? blockNames('amines'),
    outcome: fields.outcome ?? 'molecule',
  };
}

function isLeftOut(value: unknown): boolean {
  return value === undefined || value === null;
}

function isDistinctPart(value: unknown, names: readonly string[], least: number): boolean {
  return (
    Array.isArray(value) &&
    value.length >= least &&
    value.every((v: unknown) => names.some((name) => name === v)) &&
    new Set(value).size === value.length
  );
}
