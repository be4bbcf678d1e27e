import { answerLine } from '../answer-line.js';
import { AXES, type Cell, type HypergridInstance } from './grid.js';

/** May stand before a path, for models that write something else first. */
export const MARKER = 'Path:';

/** The action that ends a path. */
export const STOP = 'stop';

/**
 * Reads a path such as `x x y stop` and tells where it ends: names of axes, each a move of one along it from the origin, then
 * `stop`.
 *
 * One word an action, because the sequence is what is sampled: a cell is reached by as many texts as there are orders of its
 * moves, and shorthands such as `x2 y` or `(2,1)` would do away with that.
 *
 * @returns null for anything else, and for a path that leaves the grid or does not stop
 */
export function parsePath(text: string, { dimensions, side }: HypergridInstance): Cell | null {
  const line = answerLine(text, MARKER);
  // No path is longer, and what is need not be taken apart.
  const longest = dimensions * (side - 1) + 1;
  const words = line.split(/[ \t]+/, longest + 1);
  if (words.length > longest || words.pop() !== STOP) return null;
  const axes = AXES.slice(0, dimensions);
  const cell = Array.from(axes, () => 0);
  for (const word of words) {
    const axis = word.length === 1 ? axes.indexOf(word) : -1;
    if (axis < 0) return null;
    cell[axis]!++;
  }
  return cell.every((x) => x < side) ? cell : null;
}

/** The path that goes along one axis after the other. */
export function renderPath(cell: Cell): string {
  return [...cell.flatMap((x, axis) => Array.from({ length: x }, () => AXES[axis]!)), STOP].join(' ');
}
