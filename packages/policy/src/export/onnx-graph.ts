import {
  add,
  and,
  cast,
  concat,
  constant,
  cumulativeSum,
  frozen,
  greater,
  input,
  less,
  matmul,
  mul,
  reshape,
  reshapeTo,
  rotary,
  shapeOf,
  softmax,
  sub,
  sum,
  type Tensor,
  transpose,
  unsqueeze,
  where,
} from '@polymode/autodiff';
import type { ModelConfig } from '../config.js';
import { familyOf, parameterShapes } from '../families/index.js';
import { HIDDEN } from '../transformer/attention.js';
import { rotaryTables } from '../transformer/rotary.js';
import { vocabularyLogits } from '../transformer/statistics.js';

const [BATCH, SEQUENCE, PAST] = ['batch', 'sequence', 'past'];
/** What `concat` calls the columns of past and present together. */
const TOTAL = `${PAST}+${SEQUENCE}`;

/**
 * A decoder with a key-value cache, as transformers.js calls one: any number of rows, padded on either side, and any number
 * of new tokens. B batch, S new tokens, T = past + S, K key-value heads, D head size.
 *
 * Inputs: `input_ids` int64 [B, S], `attention_mask` int64 [B, T], `position_ids` int64 [B, S],
 * `past_key_values.i.key` and `.value` float32 [B, K, past, D].
 * Outputs: `logits` [B, S, V], `present.i.key` and `.value` [B, K, T, D].
 */
export function cachedDecoder(config: ModelConfig): Record<string, Tensor> {
  const { numAttentionHeads: heads, numKeyValueHeads: groups, headDim, vocabSize } = config;
  const repeats = heads / groups;
  const family = familyOf(config);
  const parameters = Object.fromEntries(
    Object.entries(parameterShapes(config)).map(([name, shape]) => [name, frozen(name, 'float32', shape)]),
  );
  const ids = input('input_ids', 'int64', [BATCH, SEQUENCE]);
  const mask = input('attention_mask', 'int64', [BATCH, TOTAL]);
  const positions = input('position_ids', 'int64', [BATCH, SEQUENCE]);
  const rows = `${BATCH}*${SEQUENCE}`;
  /** [B, S, …] of the two sizes that only a run knows. */
  const perToken = (x: Tensor, ...sizes: number[]): Tensor =>
    reshapeTo(x, concat([shapeOf(ids), constant(sizes, [sizes.length], 'int64')], 0), [BATCH, SEQUENCE, ...sizes]);
  const tables = rotaryTables(config, config.maxPositionEmbeddings);
  const turned = (x: Tensor): Tensor => (tables === null ? x : rotary(x, positions, tables.cosines, tables.sines));
  const masks = maskMaker(ids, mask, repeats);

  const outputs: Record<string, Tensor> = {};
  let hidden = family.embed(config, parameters, reshape(ids, [rows]), reshape(positions, [rows]));
  for (let i = 0; i < config.numHiddenLayers; i++) {
    const layer = family.layer(config, parameters, i);
    const projected = layer.attentionInput(hidden);
    const apart = (x: Tensor, count: number): Tensor => transpose(perToken(x, count, headDim), [0, 2, 1, 3]);
    const withPast = (x: Tensor, kind: 'key' | 'value'): Tensor => {
      const past = input(`past_key_values.${i}.${kind}`, 'float32', [BATCH, groups, PAST, headDim]);
      const present = concat([past, x], 2);
      outputs[`present.${i}.${kind}`] = present;
      return present;
    };
    const keys = withPast(turned(apart(projected.keys, groups)), 'key');
    const values = withPast(apart(projected.values, groups), 'value');
    const queries = mul(turned(apart(projected.queries, heads)), 1 / Math.sqrt(headDim));
    const folded = reshape(queries, [BATCH, groups, repeated(repeats), headDim]);
    const scores = add(matmul(folded, keys, { transposeB: true }), masks(config.slidingWindows[i] ?? null));
    const mixed = reshape(matmul(softmax(scores), values), [BATCH, heads, SEQUENCE, headDim]);
    const joined = reshape(transpose(mixed, [0, 2, 1, 3]), [rows, heads * headDim]);
    const attended = add(hidden, layer.attentionOutput(joined));
    hidden = add(attended, layer.feedForward(attended));
  }
  return { logits: perToken(vocabularyLogits(config, parameters, hidden), vocabSize), ...outputs };
}

/** The new tokens of the R query heads that share a key head, one head after the other. */
const repeated = (repeats: number): string => Array.from({ length: repeats }, () => SEQUENCE).join('+');

/** Who sees whom, by columns: padding tells nothing, and positions may begin anywhere. @returns of [B, 1, R·S, T] */
function maskMaker(ids: Tensor, mask: Tensor, repeats: number): (window: number | null) => Tensor {
  const ones = (x: Tensor): Tensor => add(mul(cast(x, 'float32'), 0), 1);
  const columns = cumulativeSum(ones(mask)); // [B, T]: 1, 2, …
  const before = sub(sum(ones(mask), [1], true), sum(ones(ids), [1], true)); // [B, 1]
  const own = unsqueeze(add(cumulativeSum(ones(ids)), before), [2]); // [B, S, 1]: the new tokens' columns
  const there = unsqueeze(greater(cast(mask, 'float32'), 0.5), [1]); // [B, 1, T]
  const all = unsqueeze(columns, [1]);
  const made = new Map<number | null, Tensor>();
  return (window) => {
    let visible = and(there, less(all, add(own, 0.5)));
    if (window !== null) visible = and(visible, greater(all, sub(own, window - 0.5)));
    const once = where(visible, 0, HIDDEN);
    const tiled = concat(
      Array.from({ length: repeats }, () => once),
      1,
    );
    const known = made.get(window) ?? unsqueeze(tiled, [1]);
    made.set(window, known);
    return known;
  };
}
