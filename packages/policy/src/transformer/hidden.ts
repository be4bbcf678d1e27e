import { add, concat, type Dim, flatName, reshape, type Tensor, transpose } from '@polymode/autodiff';
import type { ModelConfig } from '../config.js';
import { familyOf } from '../families/index.js';
import {
  causalAttention,
  causalBlocks,
  causalMask,
  continuedMask,
  type GroupMasks,
  type GroupShape,
  groupAttention,
  type Heads,
  maskedAttention,
  promptMask,
  splitHeads,
} from './attention.js';
import type { Cache } from './decoder.js';
import type { ParameterTensors } from './parameters.js';
import { type RotaryTables, rotaryTables } from './rotary.js';

/**
 * The hidden states of whole sequences that start at position 0 and are padded on the right: the causal mask keeps
 * padding out of everything but itself.
 *
 * @param tokens int32 [N, T], T fixed
 * @param positions int32 [N, T]: 0, 1, … in every row
 * @returns hidden [N·T, d] before the last norm, and each layer's keys and values [N, K, T, D]
 */
export function sequenceHidden(
  config: ModelConfig,
  parameters: ParameterTensors,
  tokens: Tensor,
  positions: Tensor,
): { hidden: Tensor; layers: { keys: Tensor; values: Tensor }[] } {
  const [n] = tokens.shape as [Dim, Dim];
  const time = tokens.staticDim(1);
  const width = config.numAttentionHeads * config.headDim;
  const masks = perWindow((window) =>
    causalBlocks(config.numAttentionHeads / config.numKeyValueHeads, time, withinReach(window, time)),
  );
  const layers: { keys: Tensor; values: Tensor }[] = [];
  const hidden = decoderLayers(
    config,
    parameters,
    tokens,
    positions,
    tablesFor(config, tokens, time),
    (heads, window) => {
      layers.push({ keys: heads.keys, values: heads.values });
      const mixed = causalAttention(config, heads, masks(window)); // [N, H, T, D]
      return reshape(transpose(mixed, [0, 2, 1, 3]), [n, time, width]);
    },
  );
  return { hidden, layers };
}

/**
 * The hidden states of groups: a prompt, then its completions, each of which continues the prompt alone. The prompt is
 * there once, so it is computed once, and its gradient too.
 *
 * Row 0 of a completion is the last prompt token, which the prompt's own rows leave out: a completion's rows then predict
 * all of its tokens, the first included.
 *
 * @param tokens int32 [N, P + G·C]
 * @param positions int32 [N, P + G·C]: 0, 1, … in the prompt; length, length + 1, … in each completion
 * @param lengths int32 [N]: prompt tokens that completions see
 * @returns [N·(P + G·C), d], before the last norm
 */
export function groupHidden(
  config: ModelConfig,
  parameters: ParameterTensors,
  tokens: Tensor,
  positions: Tensor,
  lengths: Tensor,
  shape: GroupShape,
): Tensor {
  const { promptLength: p, completionLength: c } = shape;
  const repeats = config.numAttentionHeads / config.numKeyValueHeads;
  const masks = perWindow(
    (window): GroupMasks => ({
      prompt: causalBlocks(repeats, p, withinReach(window, p)),
      toPrompt: promptMask(lengths, p, c, repeats, withinReach(window, p + c)),
      completion: causalMask(repeats, c, withinReach(window, c)),
    }),
  );
  return decoderLayers(config, parameters, tokens, positions, tablesFor(config, tokens, p + c), (heads, window) =>
    groupAttention(config, heads, shape, masks(window)),
  );
}

/** What stands before a piece of a sequence. */
export interface Before extends Cache {
  /** 0, 1, … P + T − 1, int32 [P + T]; the cache is [N, K, P, D] */
  readonly columns: Tensor;
  readonly rotary: RotaryTables | null;
}

/**
 * The hidden states of pieces of sequences, after P tokens that were read before.
 *
 * @param tokens int32 [N, T], T fixed
 * @param positions int32 [1, T]: P, P + 1, …
 * @returns hidden [N·T, d] before the last norm, and each layer's keys and values, those before them first: [N, K, P + T, D]
 */
export function continuedHidden(
  config: ModelConfig,
  parameters: ParameterTensors,
  tokens: Tensor,
  positions: Tensor,
  before: Before,
): { hidden: Tensor; layers: { keys: Tensor; values: Tensor }[] } {
  const [n] = tokens.shape as [Dim, Dim];
  const time = tokens.staticDim(1);
  const width = config.numAttentionHeads * config.headDim;
  const repeats = config.numAttentionHeads / config.numKeyValueHeads;
  const masks = perWindow((window) => continuedMask(repeats, positions, before.columns, window));
  const layers: { keys: Tensor; values: Tensor }[] = [];
  const hidden = decoderLayers(config, parameters, tokens, positions, before.rotary, (heads, window) => {
    const i = layers.length;
    const [keys, values] = [concat([before.keys[i]!, heads.keys], 2), concat([before.values[i]!, heads.values], 2)];
    layers.push({ keys, values });
    const mixed = maskedAttention(config, { queries: heads.queries, keys, values }, masks(window)); // [N, H, T, D]
    return reshape(transpose(mixed, [0, 2, 1, 3]), [n, time, width]);
  });
  return { hidden, layers };
}

/** onnxruntime's RotaryEmbedding wants a table at least as long as the sequence, whatever the positions in it. */
function tablesFor(config: ModelConfig, tokens: Tensor, reach: number): RotaryTables | null {
  return rotaryTables(config, Math.max(reach, tokens.staticDim(1)));
}

/** @param attend from one layer's heads to [N, T, H·D] @param tables for all positions that occur */
function decoderLayers(
  config: ModelConfig,
  parameters: ParameterTensors,
  tokens: Tensor,
  positions: Tensor,
  tables: RotaryTables | null,
  attend: (heads: Heads, window: number | null) => Tensor,
): Tensor {
  const family = familyOf(config);
  const rows = flatName(tokens.shape);
  let hidden = family.embed(config, parameters, reshape(tokens, [rows]), reshape(positions, [rows]));
  for (let i = 0; i < config.numHiddenLayers; i++) {
    const layer = family.layer(config, parameters, i);
    const heads = splitHeads(config, layer.attentionInput(hidden), positions, tables);
    const mixed = attend(heads, config.slidingWindows[i] ?? null);
    const attended = add(hidden, layer.attentionOutput(reshape(mixed, [rows, mixed.staticDim(2)])));
    hidden = add(attended, layer.feedForward(attended));
  }
  return hidden;
}

/** A window that no sequence outgrows is none: the masks are simpler then. */
function withinReach(window: number | null, length: number): number | null {
  return window !== null && window < length ? window : null;
}

/** Made once for each window. */
function perWindow<T>(make: (window: number | null) => T): (window: number | null) => T {
  const made = new Map<number | null, T>();
  return (window) => {
    const known = made.get(window) ?? make(window);
    made.set(window, known);
    return known;
  };
}
