import {
  add,
  cast,
  concat,
  constant,
  equal,
  type Feed,
  type Fetch,
  gatherRows,
  greater,
  input,
  loop,
  mul,
  not,
  or,
  reshape,
  streamed,
  sum,
  type Tensor,
  unsqueeze,
  where,
} from '@polymode/autodiff';
import type { ModelConfig } from '../config.js';
import { type Cache, decoder } from '../transformer/decoder.js';
import { continuedHidden, sequenceHidden } from '../transformer/hidden.js';
import type { ParameterTensors } from '../transformer/parameters.js';
import type { RotaryTables } from '../transformer/rotary.js';
import { vocabularyLogits } from '../transformer/statistics.js';
import { type DrawFeatures, drawer } from './draw.js';

/** The names under which a cache's tensors go in and out, `<of>.keys.<layer>` and `<of>.values.<layer>`. */
export function cacheNames(config: ModelConfig, of: string): string[] {
  const layers = Array.from({ length: config.numHiddenLayers }, (_, i) => i);
  return ['keys', 'values'].flatMap((part) => layers.map((i) => `${of}.${part}.${i}`));
}

/** Feeds of a cache's inputs from variables. */
export function cacheFeeds(config: ModelConfig, of: string, from: string): Record<string, Feed> {
  const variables = cacheNames(config, from);
  return Object.fromEntries(cacheNames(config, of).map((name, i) => [name, { variable: variables[i]! }]));
}

/** Fetches of a cache's outputs that keep them as variables. */
export function cacheFetches(config: ModelConfig, of: string, as: string): Record<string, Fetch> {
  const variables = cacheNames(config, as);
  return Object.fromEntries(cacheNames(config, of).map((name, i) => [name, { variable: variables[i]! }]));
}

/** A cache as graph inputs, float32 [rows, K, columns, D]. */
function cacheInputs(config: ModelConfig, of: string, rows: string, columns: string): Cache {
  const { numKeyValueHeads, headDim } = config;
  return cacheOf(
    config,
    cacheNames(config, of).map((name) => input(name, 'float32', [rows, numKeyValueHeads, columns, headDim])),
  );
}

function cacheOf(config: ModelConfig, tensors: readonly Tensor[]): Cache {
  const layers = config.numHiddenLayers;
  return { keys: tensors.slice(0, layers), values: tensors.slice(layers) };
}

function cacheOutputs(config: ModelConfig, of: string, { keys, values }: Cache): Record<string, Tensor> {
  const tensors = [...keys, ...values];
  return Object.fromEntries(cacheNames(config, of).map((name, i) => [name, tensors[i]!]));
}

/**
 * Reads prompts of one rounded length.
 *
 * Inputs: `tokens` and `positions` int32 [N, T], padded on the right; `last` int32 [M]: n·T + length − 1 for each prompt,
 * and anything up to a multiple of STREAMED_ROWS.
 * Outputs: the caches `prompt.*` [N, K, T, D]; `logits` [M, V] of each prompt's next token.
 */
export function prefillGraph(
  config: ModelConfig,
  parameters: ParameterTensors,
  length: number,
): Record<string, Tensor> {
  const [tokens, positions] = ['tokens', 'positions'].map((name) => input(name, 'int32', ['N', length]));
  const { hidden, layers } = sequenceHidden(config, parameters, tokens!, positions!);
  const cache = { keys: layers.map((l) => l.keys), values: layers.map((l) => l.values) };
  return {
    ...cacheOutputs(config, 'prompt', cache),
    logits: vocabularyLogits(config, fewRows(parameters), gatherRows(hidden, input('last', 'int32', ['M']))),
  };
}

/**
 * Reads a piece of one long prompt.
 *
 * Inputs: `tokens` and `positions` int32 [1, T], padded on the right; unless it begins the prompt, the caches `before.*` [1, K, P, D]
 * of all before it, `columns` int32 [P + T]: 0, 1, …, and `cosines` and `sines` where positions are rotary; if it ends the prompt,
 * `last` int32 [M]: length − 1.
 * Outputs: the caches `read.*` [1, K, P + T, D]; if it ends the prompt, `logits` [M, V] of its next token.
 */
export function pieceGraph(
  config: ModelConfig,
  parameters: ParameterTensors,
  length: number,
  { begins, ends }: { readonly begins: boolean; readonly ends: boolean },
): Record<string, Tensor> {
  const [tokens, positions] = ['tokens', 'positions'].map((name) => input(name, 'int32', [1, length])) as [
    Tensor,
    Tensor,
  ];
  const { hidden, layers } = begins
    ? sequenceHidden(config, parameters, tokens, positions)
    : continuedHidden(config, parameters, tokens, positions, {
        ...cacheOf(
          config,
          cacheNames(config, 'before').map((name) =>
            input(name, 'float32', [1, config.numKeyValueHeads, 'P', config.headDim]),
          ),
        ),
        columns: input('columns', 'int32', [`P+${length}`]),
        rotary: rotaryInputs(config),
      });
  const cache = { keys: layers.map((l) => l.keys), values: layers.map((l) => l.values) };
  return {
    ...cacheOutputs(config, 'read', cache),
    ...(ends && {
      logits: vocabularyLogits(config, fewRows(parameters), gatherRows(hidden, input('last', 'int32', ['M']))),
    }),
  };
}

/**
 * The first token of rows whose prompts have been read.
 *
 * Inputs: `logits` [M, V]; `prompt_of` int32 [B]; `uniforms` float32 [1, B]; those of `drawer`.
 * Outputs: `tokens` int32 [1, B]; `log_probabilities` float32 [1, B]; with alternatives, `alternatives` int32 and
 * `alternative_log_probabilities` float32 [1, B, 20].
 */
export function firstTokenGraph(config: ModelConfig, features: DrawFeatures): Record<string, Tensor> {
  const { draw, history } = drawer(features, config.vocabSize);
  const logits = gatherRows(input('logits', 'float32', ['M', config.vocabSize]), input('prompt_of', 'int32', ['B']));
  const uniform = reshape(input('uniforms', 'float32', [1, 'B']), ['B']);
  const { token, logProbability, alternatives } = draw(logits, uniform, history);
  return named([token, logProbability, ...(alternatives ?? [])].map((t) => unsqueeze(t, [0])));
}

/**
 * A few tokens of every row in one ONNX Loop, which ends when all rows have: read what was said last, draw the next.
 *
 * Inputs (N prompts, B rows of which A say something, S rounds at most, E stop tokens a row at most):
 * - the caches `prompt.*` [N, K, P, D] and `past.*` [A, K, C, D]; P and C are multiples of 64
 * - `prompt_lengths` int32 [N]; `prompt_columns` int32 [P]; `row_at` int32 [N, G]; `place_of` int32 [B]; `apart` int64 [5];
 *   `together` int64 [4]: see `SharedPrompts`
 * - `past_lengths` and `past_row_at` int32 [A]; `past_place_of` int32 [B]; `past_columns` int32 [C]: see `Past`
 * - `positions` int32 [B]: where the last token stands; `last` int32 [B]: that token
 * - `left` int32 [B]: tokens that a row may still say, 0 for one that has ended
 * - `rounds` int64 scalar ≤ S; `slots` int32 [S]: 0, 1, …; `uniforms` float32 [S, B]
 * - `stop` int32 [B, E], −1 for none; `padding` int32 [1]: said by rows that have ended
 * - `cosines` and `sines` [positions, D/2] where positions are rotary; those of `drawer`
 *
 * Outputs: those of `firstTokenGraph` with rounds in place of 1, and the caches `segment.*` [B, K, S, D].
 */
export function segmentGraph(
  config: ModelConfig,
  parameters: ParameterTensors,
  features: DrawFeatures,
): Record<string, Tensor> {
  const [placeOf, pastPlaceOf, positions, last, left] = ['place_of', 'past_place_of', 'positions', 'last', 'left'].map(
    (name) => input(name, 'int32', ['B']),
  ) as [Tensor, Tensor, Tensor, Tensor, Tensor];
  const slots = input('slots', 'int32', ['S']);
  const stop = input('stop', 'int32', ['B', 'E']);
  const padding = input('padding', 'int32', [1]);
  const uniforms = input('uniforms', 'float32', ['S', 'B']);
  const { draw, history, said } = drawer(features, config.vocabSize);

  const decode = decoder(config, fewRows(parameters), {
    prompts: {
      ...cacheInputs(config, 'prompt', 'N', 'P'),
      lengths: input('prompt_lengths', 'int32', ['N']),
      columns: input('prompt_columns', 'int32', ['P']),
      rowAt: input('row_at', 'int32', ['N', 'G']),
      placeOf,
      apart: input('apart', 'int64', [5]),
      together: input('together', 'int64', [4]),
    },
    past: {
      ...cacheInputs(config, 'past', 'A', 'C'),
      lengths: input('past_lengths', 'int32', ['A']),
      rowAt: input('past_row_at', 'int32', ['A']),
      placeOf: pastPlaceOf,
      columns: input('past_columns', 'int32', ['C']),
    },
    positions,
    rounds: slots,
    rotary: rotaryInputs(config),
  });

  const { numKeyValueHeads: groups, headDim } = config;
  const nothing = mul(
    add(
      cast(unsqueeze(positions, [1, 2, 3]), 'float32'),
      add(cast(unsqueeze(slots, [1]), 'float32'), zeros(groups, headDim)),
    ),
    0,
  ); // [B, K, S, D]
  const caches = cacheNames(config, 'segment').length;
  const started = history === null ? [] : [history.counts, history.seen];
  const result = loop(
    input('rounds', 'int64', []),
    [last, not(greater(left, 0)), ...Array.from({ length: caches }, () => nothing), ...started],
    (round64, [token, ended, ...carried]) => {
      const round = cast(round64, 'int32');
      const { logits, segment } = decode(token!, round, cacheOf(config, carried.slice(0, caches)));
      const [counts, seen] = carried.slice(caches);
      const before = counts === undefined ? null : { counts, seen: seen! };
      const drawn = draw(logits, gatherRows(uniforms, round), before);
      const next = where(ended!, padding, drawn.token);
      const stops = greater(sum(cast(equal(unsqueeze(next, [1]), stop), 'float32'), [1]), 0);
      const done = or(or(ended!, stops), not(greater(left, add(round, 1))));
      const after = before === null ? [] : Object.values(said(before, next));
      return {
        proceed: greater(sum(cast(not(done), 'float32')), 0),
        carried: [next, done, ...segment.keys, ...segment.values, ...after],
        scans: [next, drawn.logProbability, ...(drawn.alternatives ?? [])],
      };
    },
  );
  return {
    ...named(result.scans),
    ...cacheOutputs(config, 'segment', cacheOf(config, result.carried.slice(2, 2 + caches))),
  };
}

/**
 * Rows of two caches in another order, in other numbers and with other columns: compacts, grows, joins.
 *
 * Inputs: `first.*` [A, K, a, D] and `second.*` [B, K, b, D]; `from` int32 [X, K, Y]: (row·K + k)·columns + column of the
 * first, or A·K·a + the same of the second.
 * Outputs: `made.*` [X, K, Y, D].
 */
export function rearrangeGraph(config: ModelConfig): Record<string, Tensor> {
  const flat = (x: Tensor, name: string): Tensor => reshape(x, [name, config.headDim]);
  const from = input('from', 'int32', ['X', config.numKeyValueHeads, 'Y']);
  const [first, second] = [cacheInputs(config, 'first', 'A', 'a'), cacheInputs(config, 'second', 'B', 'b')];
  const picked = (part: 'keys' | 'values'): Tensor[] =>
    first[part].map((x, i) => gatherRows(concat([flat(x, 'Aa'), flat(second[part][i]!, 'Bb')], 0), from));
  return cacheOutputs(config, 'made', { keys: picked('keys'), values: picked('values') });
}

/** The matrices among parameters, as products with few rows read them. */
function fewRows(parameters: ParameterTensors): ParameterTensors {
  return Object.fromEntries(
    Object.entries(parameters).map(([name, tensor]) => [name, tensor.rank === 2 ? streamed(tensor) : tensor]),
  );
}

function rotaryInputs(config: ModelConfig): RotaryTables | null {
  if (config.rotary === null) return null;
  const [cosines, sines] = ['cosines', 'sines'].map((name) => input(name, 'float32', ['T', config.headDim / 2]));
  return { cosines: cosines!, sines: sines! };
}

function zeros(...[groups, headDim]: [number, number]): Tensor {
  return constant(new Float32Array(groups * headDim), [1, groups, 1, headDim]);
}

function named(scans: readonly Tensor[]): Record<string, Tensor> {
  const names = ['tokens', 'log_probabilities', 'alternatives', 'alternative_log_probabilities'];
  return Object.fromEntries(scans.map((t, i) => [names[i]!, t]));
}
