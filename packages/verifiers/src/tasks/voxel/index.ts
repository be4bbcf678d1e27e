import type { Item, ItemProblem } from '../../grader.js';
import { defineTask } from '../define-task.js';
import { parseStructure, renderStructure } from './answer.js';
import { compactPrompt, fullPrompt } from './prompts.js';
import {
  explains,
  explanations,
  type Structure,
  structureFromKey,
  structureKey,
  type VoxelInstance,
} from './structure.js';
import { LARGEST_GRID, type VoxelOptions, views } from './views.js';

/** Members that an admissible set may be listed with. */
const LARGEST_SET = 1_000_000;

/**
 * Stacks of blocks that obey gravity and look from above as given: HypoSpace's 3-D task, with its loopholes closed.
 *
 * An answer is valid if it has the same view, every block rests on another, and it is at most H layers high. Answers
 * with values other than 0 and 1, or with layers that are not N×N, are not read at all.
 */
export const voxelTask = defineTask<VoxelInstance, Structure, VoxelOptions>({
  name: 'hypospace/voxel',
  checkItem,
  asInstance,
  instances: views,
  prompt: (instance, style) => (style === 'full' ? fullPrompt(instance) : compactPrompt(instance)),
  parse: (text, instance) => parseStructure(text, instance.grid),
  verify: explains,
  key: structureKey,
  render: (answer) => renderStructure(typeof answer === 'string' ? structureFromKey(answer) : answer),
  admissibleSet(instance) {
    const size = admissibleCount(instance);
    if (size > LARGEST_SET) throw new RangeError(`The admissible set has ${size} members, too many to list.`);
    return explanations(instance).map(structureKey).sort();
  },
  admissibleCount,
});

function admissibleCount({ max_height, top }: VoxelInstance): number {
  return max_height ** top.replaceAll('0', '').length;
}

function asInstance(item: Item): VoxelInstance {
  const { grid, max_height, top } = item as unknown as VoxelInstance;
  return { grid, max_height, top };
}

function checkItem(item: Item): ItemProblem[] {
  const { grid, max_height, top } = item;
  const problems: ItemProblem[] = [];
  const gridIsRight = Number.isInteger(grid) && Number(grid) >= 1 && Number(grid) <= LARGEST_GRID;
  if (!gridIsRight) {
    problems.push({ path: 'item.grid', message: `must be an integer from 1 to ${LARGEST_GRID}, the cells a side.` });
  }
  if (!Number.isSafeInteger(max_height) || Number(max_height) < 1) {
    problems.push({ path: 'item.max_height', message: 'must be an integer of at least 1, the layers there may be.' });
  }
  const cells = gridIsRight ? Number(grid) ** 2 : undefined;
  if (typeof top !== 'string' || !/^[01]+$/.test(top) || (cells !== undefined && top.length !== cells)) {
    const length = cells === undefined ? 'grid times grid' : String(cells);
    problems.push({ path: 'item.top', message: `must be a string of ${length} bits (0 or 1), the view row by row.` });
  }
  return problems;
}
