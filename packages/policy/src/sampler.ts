import {
  add,
  and,
  argMax,
  cast,
  constant,
  cumulativeSum,
  div,
  equal,
  gatherElements,
  gatherRows,
  greater,
  input,
  less,
  logSoftmax,
  loop,
  minimum,
  mul,
  not,
  or,
  slice,
  softmax,
  squeeze,
  sub,
  sum,
  type Tensor,
  topK,
  unsqueeze,
  where,
} from '@polymode/autodiff';
import type { ModelConfig } from './config.js';
import { decoder, type PromptCache } from './transformer/decoder.js';
import { sequenceHidden } from './transformer/hidden.js';
import type { ParameterTensors } from './transformer/parameters.js';
import { vocabularyLogits } from './transformer/statistics.js';

/**
 * How the next token is drawn.
 * - `greedy`: the likeliest.
 * - `full`: from the whole distribution.
 * - `filtered`: from what top-k and top-p leave.
 */
export type SamplingMode = 'greedy' | 'full' | 'filtered';

export interface SamplerShape {
  /** P: length to which prompts are padded on the right */
  readonly promptLength: number;
  /** C: most tokens that a completion may have */
  readonly completionLength: number;
  /** G: rows of each prompt, next to each other: B = N·G */
  readonly groupSize: number;
  readonly mode: SamplingMode;
}

/**
 * Grouped sampling as one graph: every prompt is read once, its cache is handed to each of its rows, and the whole
 * decoding runs inside one ONNX Loop that ends when every row has stopped.
 *
 * Inputs (N prompts, B rows, S stop tokens):
 * - `tokens` int32 [N, P], padded on the right; `positions` int32 [N, P]: 0, 1, …
 * - `last` int32 [N]: n·P + length − 1; `lengths` int32 [N]: of the prompts
 * - `row_lengths` int32 [B]: length of each row's prompt; `prompt_of_row` int32 [B]: 0 G times, 1 G times, …
 * - `uniforms` float32 [C, B] in (0, 1): the one random number of each token
 * - `rounds` int64 scalar ≤ C; `stop` int32 [S]; `padding` int32 [1]: written after a row has stopped
 * - `temperature` float32 scalar > 0; `top_p` float32 scalar; `top_k` float32 scalar (filtered only)
 *
 * Outputs: `tokens` int32 [rounds, B]; `log_probabilities` float32 [rounds, B], of each token under the whole
 * distribution at this temperature, before any filter: the same quantity that training computes.
 */
export function samplerGraph(
  config: ModelConfig,
  parameters: ParameterTensors,
  shape: SamplerShape,
): Record<string, Tensor> {
  const { promptLength, completionLength, groupSize, mode } = shape;
  const tokens = input('tokens', 'int32', ['N', promptLength]);
  const positions = input('positions', 'int32', ['N', promptLength]);
  const last = input('last', 'int32', ['N']);
  const lengths = input('lengths', 'int32', ['N']);
  const rowLengths = input('row_lengths', 'int32', ['B']);
  const promptOfRow = input('prompt_of_row', 'int32', ['B']);
  const uniforms = input('uniforms', 'float32', ['C', 'B']);
  const rounds = input('rounds', 'int64', []);
  const stop = input('stop', 'int32', ['S']);
  const padding = input('padding', 'int32', [1]);
  const temperature = input('temperature', 'float32', []);
  const filter =
    mode === 'filtered' ? { topP: input('top_p', 'float32', []), topK: input('top_k', 'float32', []) } : null;

  const prefill = sequenceHidden(config, parameters, tokens, positions);
  const promptLogits = vocabularyLogits(config, parameters, gatherRows(prefill.hidden, last)); // [N, V]
  const prompt: PromptCache = {
    keys: prefill.layers.map((l) => l.keys),
    values: prefill.layers.map((l) => l.values),
    lengths,
  };
  const layers = config.numHiddenLayers;
  const nothing = emptyCache(config, rowLengths, completionLength);
  const decode = decoder(config, parameters, prompt, groupSize, completionLength);

  const result = loop(
    rounds,
    [
      gatherRows(promptLogits, promptOfRow),
      less(rowLengths, 0), // no row has finished: lengths are positive
      ...Array.from({ length: 2 * layers }, () => nothing),
    ],
    (round64, [logits, finished, ...caches]) => {
      const round = cast(round64, 'int32');
      const scaled = div(logits!, temperature);
      const drawn = drawToken(scaled, gatherRows(uniforms, round), mode, filter);
      const logs = squeeze(gatherElements(logSoftmax(scaled), unsqueeze(drawn, [1]), 1), [1]);
      const token = where(finished!, padding, drawn);
      const stops = greater(sum(cast(equal(unsqueeze(token, [1]), unsqueeze(stop, [0])), 'float32'), [1]), 0);
      const done = or(finished!, stops);
      const remaining = sum(cast(not(done), 'float32'));
      const { logits: next, said } = decode(token, round, {
        keys: caches.slice(0, layers),
        values: caches.slice(layers),
      });
      return {
        proceed: greater(remaining, 0),
        carried: [next, done, ...said.keys, ...said.values],
        scans: [token, logs],
      };
    },
  );
  return { tokens: result.scans[0]!, log_probabilities: result.scans[1]! };
}

/** Zeros, [B, K, C, D]. @param rows any int32 [B] */
function emptyCache(config: ModelConfig, rows: Tensor, length: number): Tensor {
  const { numKeyValueHeads: groups, headDim } = config;
  const zeros = constant(new Float32Array(groups * length * headDim), [1, groups, length, headDim]);
  return add(zeros, unsqueeze(mul(cast(rows, 'float32'), 0), [1, 2, 3]));
}

/**
 * The first token whose cumulative probability reaches u.
 *
 * @param scaled logits over temperature, [B, V]
 * @param uniform [B] in (0, 1)
 * @returns int32 [B]
 */
function drawToken(
  scaled: Tensor,
  uniform: Tensor,
  mode: SamplingMode,
  filter: { topP: Tensor; topK: Tensor } | null,
): Tensor {
  if (mode === 'greedy') return cast(argMax(scaled), 'int32');
  const vocabulary = scaled.staticDim(1);
  if (filter === null) return inverseCdf(softmax(scaled), uniform, vocabulary);
  const [sorted, indices] = topK(softmax(scaled), vocabulary);
  const rank = constant(
    Array.from({ length: vocabulary }, (_, i) => i),
    [1, vocabulary],
  );
  // A token stays while what comes before it holds less than top-p: the likeliest always stays.
  const before = sub(cumulativeSum(sorted), sorted);
  const keep = and(less(before, filter.topP), less(rank, filter.topK));
  const kept = where(keep, sorted, 0);
  const chosen = inverseCdf(kept, uniform, vocabulary);
  return cast(squeeze(gatherElements(indices, unsqueeze(chosen, [1]), 1), [1]), 'int32');
}

/** @param weights [B, V], not negative, of any total @returns int32 [B] */
function inverseCdf(weights: Tensor, uniform: Tensor, vocabulary: number): Tensor {
  const cdf = cumulativeSum(weights);
  // The sum as accumulated, so that rounding never leaves u beyond the last step.
  const total = slice(cdf, 1, vocabulary - 1, vocabulary);
  const below = less(cdf, mul(unsqueeze(uniform, [1]), total));
  return cast(minimum(sum(cast(below, 'float32'), [1]), vocabulary - 1), 'int32');
}
