import {
  add,
  and,
  cast,
  concat,
  constant,
  equal,
  greater,
  less,
  matmul,
  mul,
  reshape,
  rotary,
  slice,
  softmax,
  sub,
  type Tensor,
  transpose,
  unsqueeze,
  where,
} from '@polymode/autodiff';
import type { ModelConfig } from '../config.js';
import { familyOf } from '../families/index.js';
import { HIDDEN } from './attention.js';
import type { ParameterTensors } from './parameters.js';
import { rotaryTables } from './rotary.js';
import { vocabularyLogits } from './statistics.js';

/** What a prompt leaves behind for its completions: one copy, however many they are. */
export interface PromptCache {
  /** per layer, [N, K, P, D] */
  readonly keys: readonly Tensor[];
  readonly values: readonly Tensor[];
  /** prompt tokens, int32 [N] */
  readonly lengths: Tensor;
}

/** What the rows have said so far: per layer, [B, K, C, D], zero beyond the current round. */
export interface CompletionCache {
  readonly keys: readonly Tensor[];
  readonly values: readonly Tensor[];
}

/** From token int32 [B], round int32 scalar and what was said before: logits [B, V] and the cache with this token in it. */
export type DecoderStep = (
  token: Tensor,
  round: Tensor,
  said: CompletionCache,
) => { logits: Tensor; said: CompletionCache };

/**
 * A function that decodes one token of every row. The G rows of a prompt lie next to each other and read one copy of its
 * keys and values; what they said themselves has a cache of its own, in which all rows write at the same round.
 *
 * Attention is written out in primitives: onnxruntime's GroupQueryAttention wants a cache of its own for every row, and
 * copies all of it at every round.
 */
export function decoder(
  config: ModelConfig,
  parameters: ParameterTensors,
  prompt: PromptCache,
  groupSize: number,
  completionLength: number,
): DecoderStep {
  const { numAttentionHeads: heads, numKeyValueHeads: groups, headDim } = config;
  const repeats = heads / groups;
  const family = familyOf(config);
  const promptLength = prompt.keys[0]!.staticDim(2);
  const tables = rotaryTables(config, promptLength + completionLength);
  const counting = (n: number, shape: number[]): Tensor =>
    constant(
      Array.from({ length: n }, (_, i) => i),
      shape,
      'int32',
    );
  const slots = counting(completionLength, [completionLength]);
  const places = counting(promptLength, [1, promptLength]);
  const lengths = unsqueeze(prompt.lengths, [1]); // [N, 1]
  const there = less(places, lengths);
  /** each row's own prompt length, int32 [B] */
  const rowLengths = reshape(add(lengths, constant(new Int32Array(groupSize), [1, groupSize], 'int32')), ['B']);

  /** [B, K, R, x] as [N, K, G·R, x], so that one product with the prompt's own copy serves the group; and back. */
  const byPrompt = (x: Tensor): Tensor => {
    const last = x.staticDim(3);
    const apart = reshape(x, ['N', groupSize, groups, repeats, last]);
    return reshape(transpose(apart, [0, 2, 1, 3, 4]), ['N', groups, groupSize * repeats, last]);
  };
  const byRow = (x: Tensor): Tensor => {
    const last = x.staticDim(3);
    const apart = reshape(x, ['N', groups, groupSize, repeats, last]);
    return reshape(transpose(apart, [0, 2, 1, 3, 4]), ['B', groups, repeats, last]);
  };

  return (token, round, said) => {
    const position = add(rowLengths, round); // [B]
    const at = unsqueeze(position, [1]);
    const now = reshape(cast(equal(slots, round), 'float32'), [completionLength, 1]);
    /** The cache with this round's slot, zero so far, filled in. @param x [B, K, 1, D] */
    const written = (cache: Tensor, x: Tensor): Tensor => add(cache, mul(now, x));
    const masks = (window: number | null): { toPrompt: Tensor; toSaid: Tensor } => {
      const said = greater(slots, round);
      if (window === null) {
        return { toPrompt: unsqueeze(where(there, 0, HIDDEN), [1, 2]), toSaid: where(said, HIDDEN, 0) };
      }
      const near = greater(places, sub(add(lengths, round), window)); // [N, P]
      const old = less(slots, sub(add(round, 1), window));
      return {
        toPrompt: unsqueeze(where(and(there, near), 0, HIDDEN), [1, 2]),
        toSaid: add(where(said, HIDDEN, 0), where(old, HIDDEN, 0)),
      };
    };
    const masksOf = new Map([...new Set(config.slidingWindows)].map((window) => [window, masks(window)]));

    const [keysOut, valuesOut]: [Tensor[], Tensor[]] = [[], []];
    let hidden = family.embed(config, parameters, token, position); // [B, d]
    for (let i = 0; i < config.numHiddenLayers; i++) {
      const layer = family.layer(config, parameters, i);
      const projected = layer.attentionInput(hidden);
      const turned = (x: Tensor, count: number): Tensor => {
        const apart = reshape(x, ['B', count, 1, headDim]);
        return tables === null ? apart : rotary(apart, at, tables.cosines, tables.sines);
      };
      const scaled = mul(turned(projected.queries, heads), 1 / Math.sqrt(headDim));
      const queries = reshape(scaled, ['B', groups, repeats, headDim]);
      const keys = written(said.keys[i]!, turned(projected.keys, groups));
      const values = written(said.values[i]!, reshape(projected.values, ['B', groups, 1, headDim]));
      keysOut.push(keys);
      valuesOut.push(values);

      const mask = masksOf.get(config.slidingWindows[i] ?? null)!;
      const toPrompt = add(matmul(byPrompt(queries), prompt.keys[i]!, { transposeB: true }), mask.toPrompt);
      const toSaid = add(matmul(queries, keys, { transposeB: true }), mask.toSaid); // [B, K, R, C]
      const shares = softmax(concat([byRow(toPrompt), toSaid], 3)); // [B, K, R, P + C]
      const fromPrompt = byRow(matmul(byPrompt(slice(shares, 3, 0, promptLength)), prompt.values[i]!));
      const fromSaid = matmul(slice(shares, 3, promptLength, promptLength + completionLength), values);
      const joined = reshape(add(fromPrompt, fromSaid), ['B', heads * headDim]);
      const attended = add(hidden, layer.attentionOutput(joined));
      hidden = add(attended, layer.feedForward(attended));
    }
    return { logits: vocabularyLogits(config, parameters, hidden), said: { keys: keysOut, values: valuesOut } };
  };
}
