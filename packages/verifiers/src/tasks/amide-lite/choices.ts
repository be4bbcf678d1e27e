import { drawDistinct } from '../../random.js';
import type { GenerateOptions } from '../../task.js';
import { type BlockKind, blockNames } from './blocks.js';
import { type AmideInstance, OUTCOMES } from './item.js';

export interface AmideOptions extends GenerateOptions {
  /** acids of an instance, 1..12. @defaultValue 4 */
  readonly acids?: number;
  /** linkers, 0..8; a molecule has one at most. @defaultValue 2 */
  readonly linkers?: number;
  /** amines, 1..12. @defaultValue 4 */
  readonly amines?: number;
  /** what counts as the same answer. @defaultValue 'molecule' */
  readonly outcome?: AmideInstance['outcome'];
}

/** Choices that a list may hold. */
const MOST_CHOICES = 1_000_000;

/** Choices of blocks, in lexicographic order of the blocks' places in their tables: acids first, then linkers and amines. */
export function blockChoices(options: AmideOptions): AmideInstance[] {
  const { acids = 4, linkers = 2, amines = 4, outcome = 'molecule', count, seed = 0 } = options;
  requireSize('acids', acids, 1);
  requireSize('linkers', linkers, 0);
  requireSize('amines', amines, 1);
  if (!OUTCOMES.includes(outcome))
    throw new RangeError(`outcome must be one of ${OUTCOMES.join(', ')}, not ${outcome}.`);
  const chosen = {
    acids: choices('acids', acids),
    linkers: choices('linkers', linkers),
    amines: choices('amines', amines),
  };
  const total = chosen.acids.length * chosen.linkers.length * chosen.amines.length;
  if (count === undefined && total > MOST_CHOICES) {
    throw new RangeError(`There are ${total} such choices of blocks. Set count to draw some of them.`);
  }
  const ranks = count === undefined ? Array.from({ length: total }, (_, i) => i) : drawDistinct(count, total, seed);
  return ranks.map((rank) => {
    const rest = Math.floor(rank / chosen.amines.length);
    return {
      acids: chosen.acids[Math.floor(rest / chosen.linkers.length)]!,
      linkers: chosen.linkers[rest % chosen.linkers.length]!,
      amines: chosen.amines[rank % chosen.amines.length]!,
      outcome,
    };
  });
}

/** Every k of the blocks, in lexicographic order of their places. */
function choices(kind: BlockKind, k: number): string[][] {
  const names = blockNames(kind);
  const from = (start: number, missing: number): string[][] =>
    missing === 0
      ? [[]]
      : names.slice(start).flatMap((name, i) => from(start + i + 1, missing - 1).map((rest) => [name, ...rest]));
  return from(0, k);
}

function requireSize(kind: BlockKind, value: number, least: number): void {
  const most = blockNames(kind).length;
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new RangeError(`${kind} must be an integer from ${least} to ${most}, not ${value}.`);
  }
}
