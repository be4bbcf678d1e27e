import type { Item, Sample } from '../grader.js';

/**
 * Characters of an answer and the texts of its row, together, up to which they are worked on in the thread that has everything
 * else to do, too. No single step on so much takes longer than a few milliseconds; what takes many steps breathes between them.
 */
export const NEAR_CHARACTERS = 16_384;

/** Values in a row that are looked at before it counts as long. */
const NEAR_VALUES = 4096;

const sizes = new WeakMap<Item, number>();

/** Whether a step of work on the answer could keep everything else waiting. @param most characters that are not long */
export function isLong({ output_text: text }: Sample, item: Item, most = NEAR_CHARACTERS): boolean {
  return text.length > most || text.length + sizeOf(item) > Math.max(most, NEAR_CHARACTERS);
}

/** Characters in a row's texts; Infinity where there is more to count than is worth it. */
function sizeOf(item: Item): number {
  // A group's answers have one row.
  let size = sizes.get(item);
  if (size === undefined) {
    size = counted(item);
    sizes.set(item, size);
  }
  return size;
}

function counted(item: Item): number {
  let characters = 0;
  let values = 0;
  const open: unknown[] = [item];
  while (open.length > 0) {
    const value = open.pop();
    if (++values > NEAR_VALUES || characters > NEAR_CHARACTERS) return Number.POSITIVE_INFINITY;
    if (typeof value === 'string') characters += value.length;
    if (typeof value !== 'object' || value === null) continue;
    for (const key in value) {
      if (open.length > NEAR_VALUES) return Number.POSITIVE_INFINITY;
      characters += key.length;
      open.push((value as Record<string, unknown>)[key]);
    }
  }
  return characters;
}
