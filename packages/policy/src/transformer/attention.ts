import {
  add,
  and,
  concat,
  constant,
  type Dim,
  greater,
  less,
  matmul,
  mul,
  reshape,
  rotary,
  slice,
  softmax,
  split,
  sub,
  type Tensor,
  transpose,
  unsqueeze,
  where,
} from '@polymode/autodiff';
import type { ModelConfig } from '../config.js';
import type { RotaryTables } from './rotary.js';

/** Added to scores that must not count: exp of it is 0 in float32, and it is finite, so a row of nothing else stays so. */
export const HIDDEN = -1e9;

/** Queries, keys and values of one layer as a family projects them, rows of all sequences one after the other. */
export interface Projections {
  /** [rows, H·D] */
  readonly queries: Tensor;
  /** [rows, K·D] */
  readonly keys: Tensor;
  /** [rows, K·D] */
  readonly values: Tensor;
}

/** The same with heads apart and positions turned in: queries [N, H, T, D], keys and values [N, K, T, D]. */
export interface Heads {
  readonly queries: Tensor;
  readonly keys: Tensor;
  readonly values: Tensor;
}

/**
 * Takes heads apart, turns positions in, and divides queries by √D.
 *
 * @param positions int32 [N, T]
 */
export function splitHeads(
  config: ModelConfig,
  { queries, keys, values }: Projections,
  positions: Tensor,
  tables: RotaryTables | null,
): Heads {
  const { numAttentionHeads, numKeyValueHeads, headDim } = config;
  const [n] = positions.shape as [Dim, Dim];
  const time = positions.staticDim(1);
  const apart = (x: Tensor, count: number): Tensor => transpose(reshape(x, [n, time, count, headDim]), [0, 2, 1, 3]);
  const turned = (x: Tensor): Tensor => (tables === null ? x : rotary(x, positions, tables.cosines, tables.sines));
  return {
    queries: mul(turned(apart(queries, numAttentionHeads)), 1 / Math.sqrt(headDim)),
    keys: turned(apart(keys, numKeyValueHeads)),
    values: apart(values, numKeyValueHeads),
  };
}

/**
 * Each token attends to itself and to those before it.
 *
 * @param blocks of `causalBlocks`
 * @returns [N, H, T, D]
 */
export function causalAttention(
  config: ModelConfig,
  { queries, keys, values }: Heads,
  blocks: readonly CausalBlock[],
): Tensor {
  const whole = blocks.length === 1;
  const asked = whole
    ? [queries]
    : split(
        queries,
        2,
        blocks.map((b) => b.length),
      );
  const mixed = blocks.map(({ keys: [from, until], mask }, i) => {
    const [ownKeys, ownValues] = whole ? [keys, values] : [slice(keys, 2, from, until), slice(values, 2, from, until)];
    return maskedAttention(config, { queries: asked[i]!, keys: ownKeys, values: ownValues }, mask);
  });
  return whole ? mixed[0]! : concat(mixed, 2);
}

/**
 * Queries attend to the keys that a mask shows them.
 *
 * @param mask [R·T, keys]
 * @returns [N, H, T, D]
 */
export function maskedAttention(config: ModelConfig, { queries, keys, values }: Heads, mask: Tensor): Tensor {
  const { numAttentionHeads: heads, numKeyValueHeads: groups, headDim } = config;
  const [n] = queries.shape as [Dim];
  const time = queries.staticDim(2);
  // The R query heads of one key head lie next to each other, so folding them into time needs no copy of the keys.
  const folded = reshape(queries, [n, groups, (heads / groups) * time, headDim]);
  const scores = add(matmul(folded, keys, { transposeB: true }), mask); // [N, K, R·T, keys]
  return reshape(matmul(softmax(scores), values), [n, heads, time, headDim]);
}

/** Queries next to each other, the keys that some of them see, and which of these each sees. */
export interface CausalBlock {
  /** queries */
  readonly length: number;
  /** from, until */
  readonly keys: readonly [number, number];
  /** [R·length, keys] */
  readonly mask: Tensor;
}

/** Queries of a block. Scores of all pairs of a long sequence would fill memory, and half of them count for nothing. */
const BLOCK = 512;

/** T queries in blocks. @param repeats R: queries that share a key head @param window tokens that a token sees */
export function causalBlocks(repeats: number, time: number, window: number | null): CausalBlock[] {
  return Array.from({ length: Math.ceil(time / BLOCK) }, (_, i) => {
    const [from, until] = [i * BLOCK, Math.min((i + 1) * BLOCK, time)];
    const first = window === null ? 0 : Math.max(0, from - window + 1);
    return {
      length: until - from,
      keys: [first, until],
      mask: causalMask(repeats, until - first, window, from - first),
    };
  });
}

/**
 * HIDDEN where a token must not look, 0 elsewhere, repeated for the R queries that share a key head.
 *
 * @param first the first token that asks @returns [R·(T − first), T]
 */
export function causalMask(repeats: number, time: number, window: number | null, first = 0): Tensor {
  const asking = time - first;
  const mask = new Float32Array(repeats * asking * time);
  for (let r = 0; r < repeats; r++) {
    for (let i = first; i < time; i++) {
      const row = (r * asking + i - first) * time;
      mask.fill(HIDDEN, row + i + 1, row + time);
      if (window !== null && i >= window) mask.fill(HIDDEN, row, row + i - window + 1);
    }
  }
  return constant(mask, [repeats * asking, time]);
}

/**
 * HIDDEN where a token must not look, 0 elsewhere, repeated for the R queries that share a key head.
 *
 * @param positions of the tokens that ask, int32 [1, T]
 * @param columns positions of the keys, int32 [keys]
 * @returns [R·T, keys]
 */
export function continuedMask(repeats: number, positions: Tensor, columns: Tensor, window: number | null): Tensor {
  const position = reshape(positions, [positions.staticDim(1), 1]);
  const before = less(columns, add(position, 1)); // [T, keys]
  const seen = window === null ? before : and(before, greater(columns, sub(position, window)));
  return repeated(where(seen, 0, HIDDEN), repeats, 0);
}

function repeated(x: Tensor, times: number, axis: number): Tensor {
  const copies = Array.from({ length: times }, () => x);
  return times === 1 ? x : concat(copies, axis);
}

/**
 * What completions see of their prompt: tokens that are there, and within the window.
 *
 * @param lengths int32 [N]: prompt tokens that completions may see; completion row c stands at position length + c
 * @returns [N, 1, 1, 1, P], or with a window [N, 1, 1, R·C, P]
 */
export function promptMask(
  lengths: Tensor,
  promptLength: number,
  completionLength: number,
  repeats: number,
  window: number | null,
): Tensor {
  const counting = (n: number, shape: number[]): Tensor =>
    constant(
      Array.from({ length: n }, (_, i) => i),
      shape,
      'int32',
    );
  const places = counting(promptLength, [1, 1, promptLength]);
  const length = unsqueeze(lengths, [1, 2]); // [N, 1, 1]
  const there = less(places, length);
  if (window === null) return unsqueeze(where(there, 0, HIDDEN), [1, 2]);
  const position = add(length, counting(completionLength, [1, completionLength, 1])); // [N, C, 1]
  const near = greater(places, sub(position, window));
  const once = where(and(near, there), 0, HIDDEN); // [N, C, P]
  return unsqueeze(repeated(once, repeats, 1), [1, 2]);
}

/** Sizes of a batch in which completions share their prompt. */
export interface GroupShape {
  /** P: rows of a prompt, padded on the right */
  readonly promptLength: number;
  /** C: rows of a completion, padded on the right */
  readonly completionLength: number;
  /** G: completions of a prompt */
  readonly groupSize: number;
}

export interface GroupMasks {
  /** among the prompt's tokens */
  readonly prompt: readonly CausalBlock[];
  /** from completions to their prompt, of `promptMask` */
  readonly toPrompt: Tensor;
  /** among a completion's tokens, [R·C, C] */
  readonly completion: Tensor;
}

/**
 * Prompts attend to themselves; completions attend to the one copy of their prompt and to themselves, never to each
 * other. In time T = P + G·C: the prompt, then its completions.
 *
 * @returns [N, T, H·D]
 */
export function groupAttention(
  config: ModelConfig,
  { queries, keys, values }: Heads,
  shape: GroupShape,
  masks: GroupMasks,
): Tensor {
  const { numAttentionHeads: heads, numKeyValueHeads: groups, headDim } = config;
  const { promptLength: p, completionLength: c, groupSize: g } = shape;
  const repeats = heads / groups;
  const [n] = queries.shape as [Dim];
  const apart = (x: Tensor): [Tensor, Tensor] => split(x, 2, [p, g * c]) as [Tensor, Tensor];
  const [promptQueries, laterQueries] = apart(queries);
  const [promptKeys, laterKeys] = apart(keys);
  const [promptValues, laterValues] = apart(values);

  const prompt = causalAttention(
    config,
    { queries: promptQueries, keys: promptKeys, values: promptValues },
    masks.prompt,
  );

  // [N, K, G, R·C, D]: both products with keys are then plain batches of matrices.
  const byHead = reshape(laterQueries, [n, groups, repeats, g, c, headDim]);
  const asked = reshape(transpose(byHead, [0, 1, 3, 2, 4, 5]), [n, groups, g, repeats * c, headDim]);
  const ownKeys = reshape(laterKeys, [n, groups, g, c, headDim]);
  const ownValues = reshape(laterValues, [n, groups, g, c, headDim]);

  const flat = reshape(asked, [n, groups, g * repeats * c, headDim]);
  const promptScores = reshape(matmul(flat, promptKeys, { transposeB: true }), [n, groups, g, repeats * c, p]);
  const toPrompt = add(promptScores, masks.toPrompt);
  const toOwn = add(matmul(asked, ownKeys, { transposeB: true }), masks.completion);
  const [promptShares, ownShares] = split(softmax(concat([toPrompt, toOwn], 4)), 4, [p, c]) as [Tensor, Tensor];
  const fromPrompt = matmul(reshape(promptShares, [n, groups, g * repeats * c, p]), promptValues);
  const mixed = add(reshape(fromPrompt, [n, groups, g, repeats * c, headDim]), matmul(ownShares, ownValues));

  const joined = transpose(reshape(mixed, [n, groups, g, repeats, c, headDim]), [0, 2, 4, 1, 3, 5]); // [N, G, C, K, R, D]
  return concat(
    [reshape(transpose(prompt, [0, 2, 1, 3]), [n, p, heads * headDim]), reshape(joined, [n, g * c, heads * headDim])],
    1,
  );
}
