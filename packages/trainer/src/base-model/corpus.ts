import { type Row, tasks } from '@polymode/verifiers';

/** A prompt and an answer in the right format, right or wrong. */
export interface Example {
  readonly messages: Row<object>['messages'];
  readonly answer: string;
}

/** Uniform numbers in (0, 1). */
export type Random = () => number;

/** Share of answers that are wrong on purpose: the base model shall know the format, not the solution. */
const WRONG = 0.4;

/** How likely heights 1, 2 and 3 are in the corpus: a skew, so that training has something to even out. */
const HEIGHTS = [0.7, 0.2, 0.1] as const;

/** Views that training files and the corpus never show; the demo measures on these. */
export const HELD_OUT_VIEWS: ReadonlySet<string> = new Set(
  tasks['hypospace/voxel'].instances({ blocks: 3, count: 20, seed: 2601 }).map((i) => i.top),
);

const CELLS = 9;

/** A 3×3 view of one to five blocks with an answer whose heights are drawn from the skew; a wrong one has a cell flipped. */
export function voxelExample(random: Random): Example {
  const task = tasks['hypospace/voxel'];
  let top: string;
  do top = randomView(1 + Math.floor(random() * 5), random);
  while (HELD_OUT_VIEWS.has(top));
  const instance = { grid: 3, max_height: 3, top };
  const heights = Array.from(top, (bit) => (bit === '1' ? drawHeight(random) : 0));
  if (random() < WRONG) {
    const cell = Math.floor(random() * CELLS);
    heights[cell] = heights[cell] === 0 ? drawHeight(random) : 0;
  }
  const layers = Array.from({ length: Math.max(1, ...heights) }, (_, z) =>
    heights.map((h) => (h > z ? '1' : '0')).join(''),
  );
  return {
    messages: [{ role: 'user', content: task.prompt(instance, 'compact') }],
    answer: task.render({ grid: 3, layers }, instance),
  };
}

function randomView(blocks: number, random: Random): string {
  const cells = Array.from({ length: CELLS }, (_, i) => i);
  const filled = new Set<number>();
  while (filled.size < blocks) filled.add(cells.splice(Math.floor(random() * cells.length), 1)[0]!);
  return Array.from({ length: CELLS }, (_, i) => (filled.has(i) ? '1' : '0')).join('');
}

function drawHeight(random: Random): number {
  let left = random();
  for (const [i, share] of HEIGHTS.entries()) {
    if (left < share) return i + 1;
    left -= share;
  }
  return HEIGHTS.length;
}

/** A Boolean instance with an answer from its space: right ones shorter first, wrong ones from anywhere in the space. */
export function booleanExample(random: Random): Example {
  const task = tasks['hypospace/boolean'];
  const instance = pick(booleanInstances, random);
  const right = task.admissibleSet(instance);
  const space = task.admissibleSet({ ...instance, observations: [] });
  const key = random() < WRONG ? pick(space, random) : shorterFirst(right, random);
  return {
    messages: [{ role: 'user', content: task.prompt(instance, 'compact') }],
    answer: task.render(key, instance),
  };
}

/** Operator sets and depths whose spaces have at most 34 members. */
const booleanInstances = (
  [
    ['basic', 1],
    ['basic', 2],
    ['extended', 1],
    ['extended', 2],
  ] as const
).flatMap(([operators, depth]) => tasks['hypospace/boolean'].instances({ operators, maxDepth: depth }));

/** One of the two shorter of three draws, so that the corpus leans towards some right answers. */
function shorterFirst(keys: readonly string[], random: Random): string {
  const draws = [pick(keys, random), pick(keys, random), pick(keys, random)];
  draws.sort((a, b) => a.length - b.length);
  return draws[random() < 0.7 ? 0 : 1]!;
}

function pick<T>(values: readonly T[], random: Random): T {
  return values[Math.floor(random() * values.length)]!;
}
