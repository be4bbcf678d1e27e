import {
  add,
  and,
  argMax,
  cast,
  constant,
  cumulativeSum,
  div,
  equal,
  exp,
  gatherElements,
  greater,
  greaterOrEqual,
  input,
  less,
  logSoftmax,
  max,
  maximum,
  minimum,
  mul,
  not,
  or,
  pad,
  reshape,
  scatterAdd,
  slice,
  squeeze,
  sub,
  sum,
  type Tensor,
  topK,
  unsqueeze,
  where,
} from '@polymode/autodiff';
import { HIDDEN } from '../transformer/attention.js';

/** Alternatives that are reported at most; more have no name in OpenAI's API. */
export const MAX_ALTERNATIVES = 20;

/** What rows of a batch need beyond a temperature; a graph is made for each combination. */
export interface DrawFeatures {
  /** some row takes its likeliest token */
  readonly greedy: boolean;
  /** some row filters the distribution, or changes it by penalties or biases */
  readonly shaped: boolean;
  /** some row may say some tokens only */
  readonly masked: boolean;
  /** some row wants the likeliest tokens reported */
  readonly alternatives: boolean;
  /** some row is drawn at another temperature than its log-probabilities are of */
  readonly reported: boolean;
}

/** How often each row has said each token, [B, V], and whether its prompt or itself has it, 0 or 1, [B, V]. */
export interface History {
  readonly counts: Tensor;
  readonly seen: Tensor;
}

export interface Drawn {
  /** int32 [B] */
  readonly token: Tensor;
  /**
   * of the token under the whole distribution at the temperature that the row reports, before any filter, penalty, bias or
   * mask; [B]
   */
  readonly logProbability: Tensor;
  /** the likeliest tokens of that distribution, int32 and float32 [B, 20], where they are wanted */
  readonly alternatives: readonly [Tensor, Tensor] | null;
}

/**
 * How rows draw, as graph inputs:
 * - `temperature` float32 [B] > 0
 * - greedy: `greedy` int32 [B], 1 for the likeliest token
 * - shaped: `top_k` (V for all), `top_p` (1 for all), `min_p` (0 for all), `repetition` (1 for none), `presence` and
 *   `frequency` (0 for none), float32 [B]; `history_tokens` int32 [B, H], each row's different tokens, with their
 *   `history_counts` in the completion and 1 in `history_seen`, 0 for padding, float32 [B, H]; `bias_tokens` int32 [B, Q] and
 *   `bias` float32 [B, Q], 0 for padding
 * - masked: `allowed` bool [B, V]
 * - reported: `reported` float32 [B] > 0, the temperature of log-probabilities
 */
export function drawer(
  features: DrawFeatures,
  vocabulary: number,
): {
  /** what to begin with; null where rows are not shaped */
  readonly history: History | null;
  /** @param logits [B, V] @param uniform [B] in (0, 1) */
  draw(logits: Tensor, uniform: Tensor, history: History | null): Drawn;
  /** @param token int32 [B]: what each row has said now */
  said(history: History, token: Tensor): History;
} {
  const row = (name: string): Tensor => unsqueeze(input(name, 'float32', ['B']), [1]);
  const temperature = row('temperature');
  const reported = features.reported ? row('reported') : null;
  const greedy = features.greedy ? greater(input('greedy', 'int32', ['B']), 0) : null;
  const allowed = features.masked ? input('allowed', 'bool', ['B', vocabulary]) : null;
  const shaping = features.shaped ? shapingInputs(vocabulary) : null;
  const filters = features.shaped ? { topK: row('top_k'), topP: row('top_p'), minP: row('min_p') } : null;
  const every = constant(
    Int32Array.from({ length: vocabulary }, (_, i) => i),
    [1, vocabulary],
    'int32',
  );

  const draw = (logits: Tensor, uniform: Tensor, history: History | null): Drawn => {
    const scaled = div(logits, temperature);
    const logs = logSoftmax(scaled);
    // Each of these leaves the bits of a row alone that does not ask for it: neighbours do not change a draw.
    let likely = shaping !== null && history !== null ? shaping.apply(logits, history) : logits;
    if (allowed !== null) likely = where(allowed, likely, HIDDEN);
    let weights = exp(likely === logits ? logs : logSoftmax(div(likely, temperature)));
    if (filters !== null) weights = where(greaterOrEqual(weights, leastKept(weights, filters)), weights, 0);
    let token = inverseCdf(weights, uniform, vocabulary);
    if (greedy !== null) token = where(greedy, cast(argMax(likely), 'int32'), token);
    const told = reported === null ? logs : logSoftmax(div(logits, reported));
    const [best, order] = features.alternatives ? topK(told, Math.min(MAX_ALTERNATIVES, vocabulary)) : [];
    return {
      token,
      logProbability: squeeze(gatherElements(told, unsqueeze(token, [1]), 1), [1]),
      alternatives: best === undefined ? null : [cast(order!, 'int32'), best],
    };
  };

  const said = (history: History, token: Tensor): History => {
    const now = cast(equal(every, unsqueeze(token, [1])), 'float32'); // [B, V]
    return { counts: add(history.counts, now), seen: maximum(history.seen, now) };
  };
  return { history: shaping?.history ?? null, draw, said };
}

/** Penalties and biases. */
function shapingInputs(vocabulary: number): { history: History; apply(logits: Tensor, history: History): Tensor } {
  const row = (name: string): Tensor => unsqueeze(input(name, 'float32', ['B']), [1]);
  const [repetition, presence, frequency] = [row('repetition'), row('presence'), row('frequency')];
  const tokens = input('history_tokens', 'int32', ['B', 'H']);
  const empty = mul(add(repetition, constant(new Float32Array(vocabulary), [1, vocabulary])), 0); // [B, V]
  const spread = (name: string): Tensor => scatterAdd(empty, tokens, input(name, 'float32', ['B', 'H']), 1);
  const bias = scatterAdd(empty, input('bias_tokens', 'int32', ['B', 'Q']), input('bias', 'float32', ['B', 'Q']), 1);
  return {
    history: { counts: spread('history_counts'), seen: spread('history_seen') },
    apply(logits, { counts, seen }) {
      const smaller = where(greater(logits, 0), div(logits, repetition), mul(logits, repetition));
      const repeated = where(greater(seen, 0), smaller, logits);
      const present = mul(presence, cast(greater(counts, 0), 'float32'));
      return add(sub(repeated, add(mul(frequency, counts), present)), bias);
    },
  };
}

/** Of the likeliest token's probability: tokens above it may be enough for top-p. */
const SHARES = [0.1, 0.01, 0.001, 0.0001];
/** More than a sum of probabilities is off. */
const ROUNDING = 1e-5;

/**
 * The probability of the least likely token that top-k, then top-p of what top-k leaves, then min-p keep, 0 where a row has
 * no filter. Tokens as likely as the last one kept stay too.
 *
 * Sorting a whole vocabulary is slow and hardly ever needed. If the tokens above some probability hold top-p together, no
 * others are kept; and those below (1 − top-p) / V never are, since they hold less than 1 − top-p.
 *
 * @param probabilities [B, V] @returns [B, 1]
 */
function leastKept(probabilities: Tensor, filters: { topK: Tensor; topP: Tensor; minP: Tensor }): Tensor {
  const vocabulary = probabilities.staticDim(1);
  const byRank = less(filters.topK, vocabulary); // [B, 1]
  const byMass = less(filters.topP, 1);
  const likeliest = max(probabilities, [1], true);
  const above = (least: Tensor): { mass: Tensor; tokens: Tensor } => {
    const holds = greaterOrEqual(probabilities, least);
    return { mass: sum(where(holds, probabilities, 0), [1], true), tokens: sum(cast(holds, 'float32'), [1], true) };
  };
  let likely = above(div(sub(1, filters.topP), vocabulary)).tokens;
  for (const share of SHARES) {
    const { mass, tokens } = above(mul(likeliest, share));
    likely = where(greater(mass, add(filters.topP, ROUNDING)), minimum(tokens, likely), likely);
  }
  const needed = where(byRank, filters.topK, where(byMass, likely, 1)); // [B, 1]
  const most = minimum(maximum(max(needed, [0]), 1), vocabulary); // [1]
  const [sorted] = topK(probabilities, cast(most, 'int64')); // [B, top]
  // Ranks as a running count: the number of sorted tokens is known at run time alone.
  const rank = cumulativeSum(add(mul(sorted, 0), 1)); // 1, 2, …
  const ranked = not(greater(rank, filters.topK));
  const left = where(ranked, sorted, 0);
  const total = where(byRank, sum(left, [1], true), 1);
  const before = sub(cumulativeSum(left), left);
  const kept = or(equal(rank, 1), and(ranked, less(before, mul(filters.topP, total))));
  const least = sub(0, max(where(kept, sub(0, sorted), -1), [1], true)); // the smallest that is kept
  const filtered = or(byRank, byMass);
  const floor = mul(filters.minP, likeliest);
  return maximum(where(filtered, least, 0), floor);
}

/** Tokens whose weights are summed up before the running sum is taken. */
const BLOCK = 128;

/**
 * The first token whose cumulative weight reaches u times the total. A running sum over the vocabulary is slow and rounds
 * at every step, so it goes over sums of blocks, and then over the block in which it passes the mark.
 *
 * @param weights [B, V], not negative, of any total
 * @param uniform [B] in (0, 1)
 * @returns int32 [B]
 */
function inverseCdf(weights: Tensor, uniform: Tensor, vocabulary: number): Tensor {
  const blocks = Math.ceil(vocabulary / BLOCK);
  const apart = reshape(pad(weights, 1, 0, blocks * BLOCK - vocabulary), ['B', blocks, BLOCK]);
  const reached = cumulativeSum(sum(apart, [2])); // [B, blocks]
  // The total as accumulated, so that rounding never leaves u beyond the last step. The same goes for the block.
  const mark = mul(unsqueeze(uniform, [1]), last(reached));
  const passed = less(reached, mark);
  const block = count(passed);
  const before = max(where(passed, reached, 0), [1], true); // below the mark, so what is left is above 0
  const at = add(unsqueeze(block, [1, 2]), constant(new Int32Array(BLOCK), [1, 1, BLOCK], 'int32'));
  const inside = cumulativeSum(squeeze(gatherElements(apart, at, 1), [1])); // [B, BLOCK]
  const place = count(less(inside, minimum(sub(mark, before), last(inside))));
  return add(mul(block, BLOCK), place);
}

/** How many along the last axis hold, int32. */
function count(holds: Tensor): Tensor {
  return cast(sum(cast(holds, 'float32'), [1]), 'int32');
}

/** The last column, [B, 1]. */
function last(x: Tensor): Tensor {
  const width = x.staticDim(1);
  return slice(x, 1, width - 1, width);
}
