import {
  add,
  and,
  cast,
  concat,
  div,
  equal,
  exp,
  gatherRows,
  greater,
  less,
  matmul,
  max,
  maximum,
  mul,
  reshape,
  reshapeTo,
  rotary,
  split,
  sub,
  sum,
  type Tensor,
  transpose,
  unsqueeze,
  where,
} from '@polymode/autodiff';
import type { ModelConfig } from '../config.js';
import { familyOf } from '../families/index.js';
import { HIDDEN } from './attention.js';
import type { ParameterTensors } from './parameters.js';
import type { RotaryTables } from './rotary.js';
import { vocabularyLogits } from './statistics.js';

/** Keys and values per layer. */
export interface Cache {
  readonly keys: readonly Tensor[];
  readonly values: readonly Tensor[];
}

/**
 * Prompts, one copy each however many rows continue them, and which rows those are. N prompts have up to G rows each,
 * B rows in all; what stands in place of a row that is not there is ignored.
 */
export interface SharedPrompts extends Cache {
  /** prompt tokens, int32 [N]; the cache is [N, K, P, D] */
  readonly lengths: Tensor;
  /** 0 … P − 1, int32 [P] */
  readonly columns: Tensor;
  /** the row at each of a prompt's places, int32 [N, G] */
  readonly rowAt: Tensor;
  /** each row's place, int32 [B]: n·G + g */
  readonly placeOf: Tensor;
  /** int64 [5]: N, K, G, R, P */
  readonly apart: Tensor;
  /** int64 [4]: N, K, G·R, P */
  readonly together: Tensor;
}

/**
 * What rows said before this segment: every row's own tokens from column 0 on. There are A of them; the others of the batch only
 * fill it, and have nothing here.
 */
export interface Past extends Cache {
  /** tokens of each row, int32 [A]; the cache is [A, K, C, D] */
  readonly lengths: Tensor;
  /** its place in the batch, int32 [A] */
  readonly rowAt: Tensor;
  /** where each row of the batch stands here, int32 [B]; anywhere for those that fill it */
  readonly placeOf: Tensor;
  /** 0 … C − 1, int32 [C] */
  readonly columns: Tensor;
}

export interface DecoderInputs {
  readonly prompts: SharedPrompts;
  readonly past: Past;
  /** position of each row's token in round 0, int32 [B] */
  readonly positions: Tensor;
  /** 0 … S − 1, int32 [S]: rounds that a segment may have */
  readonly rounds: Tensor;
  readonly rotary: RotaryTables | null;
}

/** From token int32 [B], round int32 scalar and the segment so far [B, K, S, D]: logits [B, V] and the segment with it. */
export type DecoderStep = (token: Tensor, round: Tensor, segment: Cache) => { logits: Tensor; segment: Cache };

/**
 * A function that decodes one token of every row.
 *
 * A token attends to three things: its prompt, read by all of the prompt's rows at once; what its row said before this
 * segment; and this segment, the only one that grows round by round, which is why it is kept small. Each has scores of its
 * own, and the three meet as one softmax: with m the largest score and z = Σ exp(score − m), o = Σ exp(score − m)·value,
 * parts add up to Σ o / Σ z.
 *
 * Every row's numbers depend on nothing but its own tokens, to the bit: columns beyond a row's length add exact zeros, and
 * no sum runs over rows. Cache sizes P and C must be multiples of 64 for that, so that sums are blocked alike.
 */
export function decoder(config: ModelConfig, parameters: ParameterTensors, inputs: DecoderInputs): DecoderStep {
  const { numAttentionHeads: heads, numKeyValueHeads: groups, headDim } = config;
  const { prompts, past, positions, rounds, rotary: tables } = inputs;
  const repeats = heads / groups;
  const family = familyOf(config);

  /** [B, K, R, x] as [N, K, G·R, x], so that one product with the prompt's own copy serves all of its rows. */
  const byPrompt = (x: Tensor): Tensor => {
    const placed = transpose(gatherRows(x, prompts.rowAt), [0, 2, 1, 3, 4]); // [N, K, G, R, x]
    return reshape(placed, ['N', groups, 'G*R', x.staticDim(3)]);
  };
  /** [N, K, G, R, x] as [B, K, R, x]. */
  const byRow = (x: Tensor): Tensor => {
    const places = reshape(transpose(x, [0, 2, 1, 3, 4]), ['N*G', groups, repeats, x.staticDim(4)]);
    return gatherRows(places, prompts.placeOf);
  };

  const shown = (visible: Tensor): Tensor => where(visible, 0, HIDDEN);
  const masksAt = (round: Tensor, window: number | null): { prompt: Tensor; past: Tensor; segment: Tensor } => {
    const inPrompt = less(prompts.columns, unsqueeze(prompts.lengths, [1])); // [N, P]
    const inPast = less(past.columns, unsqueeze(past.lengths, [1])); // [A, C]
    const inSegment = less(rounds, add(round, 1)); // [S]
    if (window === null) {
      return {
        prompt: unsqueeze(shown(inPrompt), [1, 2, 3]),
        past: unsqueeze(shown(inPast), [1, 2]),
        segment: shown(inSegment),
      };
    }
    // A key counts when it is less than a window's width behind the token, which stands at position + round.
    const oldest = sub(add(positions, round), window - 1); // [B]
    const nearPrompt = greater(add(prompts.columns, 1), unsqueeze(gatherRows(oldest, prompts.rowAt), [2])); // [N, G, P]
    const nearPast = greater(past.columns, sub(unsqueeze(add(past.lengths, round), [1]), window));
    return {
      prompt: unsqueeze(shown(and(unsqueeze(inPrompt, [1]), nearPrompt)), [1, 3]), // [N, 1, G, 1, P]
      past: unsqueeze(shown(and(inPast, nearPast)), [1, 2]),
      segment: shown(and(inSegment, greater(rounds, sub(round, window)))),
    };
  };

  return (token, round, segment) => {
    const position = add(positions, round); // [B]
    const at = unsqueeze(position, [1]);
    const now = unsqueeze(cast(equal(rounds, round), 'float32'), [1]); // [S, 1]
    /** The segment with this round's slot, zero so far, filled in. @param x [B, K, 1, D] */
    const written = (cache: Tensor, x: Tensor): Tensor => add(cache, mul(now, x));
    const masks = new Map([...new Set(config.slidingWindows)].map((window) => [window, masksAt(round, window)]));

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
      const keys = written(segment.keys[i]!, turned(projected.keys, groups));
      const values = written(segment.values[i]!, reshape(projected.values, ['B', groups, 1, headDim]));
      keysOut.push(keys);
      valuesOut.push(values);
      const mask = masks.get(config.slidingWindows[i] ?? null)!;

      const toPrompt = add(
        reshapeTo(matmul(byPrompt(queries), prompts.keys[i]!, { transposeB: true }), prompts.apart, [
          'N',
          groups,
          'G',
          repeats,
          'P',
        ]),
        mask.prompt,
      );
      const topOfPrompt = max(toPrompt, [-1], true);
      const weights = exp(sub(toPrompt, topOfPrompt));
      const fromPrompt = matmul(
        reshapeTo(weights, prompts.together, ['N', groups, 'G*R', 'P']),
        prompts.values[i]!, // [N, K, P, D]
      );
      const ofPrompt = byRow(
        concat([reshape(fromPrompt, ['N', groups, 'G', repeats, headDim]), topOfPrompt, sum(weights, [-1], true)], 4),
      );
      const [promptOutput, promptTop, promptTotal] = split(ofPrompt, 3, [headDim, 1, 1]) as [Tensor, Tensor, Tensor];

      const asking = gatherRows(queries, past.rowAt);
      const toPast = add(matmul(asking, past.keys[i]!, { transposeB: true }), mask.past); // [A, K, R, C]
      const pastTop = gatherRows(max(toPast, [-1], true), past.placeOf);
      const toSegment = add(matmul(queries, keys, { transposeB: true }), mask.segment); // [B, K, R, S]
      const top = maximum(promptTop, maximum(pastTop, max(toSegment, [-1], true)));
      const share = exp(sub(promptTop, top));
      const pastWeights = exp(sub(toPast, gatherRows(top, past.rowAt)));
      const fromPast = concat([matmul(pastWeights, past.values[i]!), sum(pastWeights, [-1], true)], 3);
      const [pastOutput, pastTotal] = split(gatherRows(fromPast, past.placeOf), 3, [headDim, 1]) as [Tensor, Tensor];
      const segmentWeights = exp(sub(toSegment, top));
      const total = add(mul(promptTotal, share), add(pastTotal, sum(segmentWeights, [-1], true)));
      const output = add(mul(promptOutput, share), add(pastOutput, matmul(segmentWeights, values)));
      const attended = add(hidden, layer.attentionOutput(reshape(div(output, total), ['B', heads * headDim])));
      hidden = add(attended, layer.feedForward(attended));
    }
    return { logits: vocabularyLogits(config, parameters, hidden), segment: { keys: keysOut, values: valuesOut } };
  };
}
