import { UNREAD } from '../../task.js';
import { defineTask } from '../define-task.js';
import { parsePath, renderPath } from './answer.js';
import { type Cell, cellCount, cellFromKey, cellKey, cells, type HypergridInstance, isCell, rewardOf } from './grid.js';
import { asInstance, checkItem } from './item.js';
import { compactPrompt, fullPrompt } from './prompts.js';
import { grids, type HypergridOptions } from './sides.js';
import { modeMetrics, rewardsByKey } from './target.js';

/**
 * Paths through a grid whose last cell earns a reward: the hyper-grid, whose target is known and not uniform, and whose outcomes
 * are reached by very different numbers of answers.
 *
 * Every cell is a right answer; what it earns says how often it should be given.
 */
export const hypergridTask = defineTask<HypergridInstance, Cell, HypergridOptions>({
  name: 'hypergrid',
  checkItem,
  asInstance,
  assess(text, item) {
    const instance = asInstance(item);
    const cell = parsePath(text, instance);
    if (cell === null) return UNREAD;
    return { key: cellKey(cell), valid: true, reward: rewardOf(cell, instance), countsForUniqueness: true };
  },
  instances: grids,
  prompt: (instance, style) => (style === 'full' ? fullPrompt(instance) : compactPrompt(instance)),
  parse: parsePath,
  verify: isCell,
  key: cellKey,
  render: (answer, instance) => renderPath(typeof answer === 'string' ? cellFromKey(answer, instance) : answer),
  admissibleSet: (instance) => cells(instance).map(cellKey).sort(),
  admissibleCount: cellCount,
  rewards: rewardsByKey,
  ownMetrics: modeMetrics,
});
