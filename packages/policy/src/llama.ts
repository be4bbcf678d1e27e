import {
  add,
  cast,
  concat,
  constant,
  type Dim,
  div,
  equal,
  exp,
  gatherElements,
  gatherRows,
  greater,
  input,
  linear,
  logSoftmax,
  matmul,
  mul,
  neg,
  reshape,
  rmsNorm,
  rotary,
  silu,
  slice,
  softmax,
  squeeze,
  stopGradient,
  sum,
  type Tensor,
  transpose,
  unsqueeze,
  where,
} from '@polymode/autodiff';
import type { LlamaConfig } from './config.js';

/**
 * The Llama family (arXiv:2302.13971): pre-norm decoder with RMSNorm, rotary positions, grouped-query attention and
 * SwiGLU, written as graph pieces. Parameter names and shapes are those of Hugging Face's LlamaForCausalLM.
 *
 * Axes: N prompts, B rows, T time, M picked positions, V vocabulary, d hidden size, H heads, K key-value heads, D head size.
 */
export type Parameters = Readonly<Record<string, Tensor>>;

/** Name and shape of every parameter, in a fixed order. Tied models have no `lm_head.weight`. */
export function parameterShapes(config: LlamaConfig): Record<string, number[]> {
  const { hiddenSize: d, intermediateSize: f, vocabSize: v, headDim } = config;
  const [queries, keys] = [config.numAttentionHeads * headDim, config.numKeyValueHeads * headDim];
  const shapes: Record<string, number[]> = { 'model.embed_tokens.weight': [v, d] };
  for (let i = 0; i < config.numHiddenLayers; i++) {
    const layer = `model.layers.${i}`;
    shapes[`${layer}.input_layernorm.weight`] = [d];
    shapes[`${layer}.self_attn.q_proj.weight`] = [queries, d];
    shapes[`${layer}.self_attn.k_proj.weight`] = [keys, d];
    shapes[`${layer}.self_attn.v_proj.weight`] = [keys, d];
    shapes[`${layer}.self_attn.o_proj.weight`] = [d, queries];
    shapes[`${layer}.post_attention_layernorm.weight`] = [d];
    shapes[`${layer}.mlp.gate_proj.weight`] = [f, d];
    shapes[`${layer}.mlp.up_proj.weight`] = [f, d];
    shapes[`${layer}.mlp.down_proj.weight`] = [d, f];
  }
  shapes['model.norm.weight'] = [d];
  if (!config.tieWordEmbeddings) shapes['lm_head.weight'] = [v, d];
  return shapes;
}

/** Graph inputs for every parameter, named `prefix` + parameter name. */
export function parameterInputs(config: LlamaConfig, prefix = ''): Parameters {
  return Object.fromEntries(
    Object.entries(parameterShapes(config)).map(([name, shape]) => [name, input(prefix + name, 'float32', shape)]),
  );
}

interface RotaryTables {
  readonly cosines: Tensor;
  readonly sines: Tensor;
}

/** cos and sin of position · θ^(−2i/D), computed in float64: [positions, D/2]. */
function rotaryTables(config: LlamaConfig, positions: number): RotaryTables {
  const half = config.headDim / 2;
  const [cos, sin] = [new Float32Array(positions * half), new Float32Array(positions * half)];
  for (let p = 0; p < positions; p++) {
    for (let i = 0; i < half; i++) {
      const angle = p * config.ropeTheta ** ((-2 * i) / config.headDim);
      cos[p * half + i] = Math.cos(angle);
      sin[p * half + i] = Math.sin(angle);
    }
  }
  return { cosines: constant(cos, [positions, half]), sines: constant(sin, [positions, half]) };
}

/** Result of one layer: the residual stream, and the keys and values it attended with, [N, K, T, D]. */
interface LayerResult {
  readonly hidden: Tensor;
  readonly keys: Tensor;
  readonly values: Tensor;
}

const weightOf = (parameters: Parameters, name: string): Tensor => {
  const tensor = parameters[name];
  if (tensor === undefined) throw new Error(`the policy has no parameter ${name}`);
  return tensor;
};

/** x + MLP(norm(x)), the second half of a layer. @param x [rows, d] */
function feedForward(config: LlamaConfig, parameters: Parameters, layer: string, x: Tensor): Tensor {
  const weight = (name: string): Tensor => weightOf(parameters, `${layer}.${name}.weight`);
  const normed = rmsNorm(x, weight('post_attention_layernorm'), config.rmsNormEps);
  const gated = mul(silu(linear(normed, weight('mlp.gate_proj'))), linear(normed, weight('mlp.up_proj')));
  return add(x, linear(gated, weight('mlp.down_proj')));
}

/** −1e9 above the diagonal, 0 elsewhere, repeated for the R queries that share a key head: [R·T, T]. */
function causalMask(repeats: number, time: number): Tensor {
  const mask = new Float32Array(repeats * time * time);
  for (let r = 0; r < repeats; r++) {
    for (let i = 0; i < time; i++) mask.fill(-1e9, (r * time + i) * time + i + 1, (r * time + i + 1) * time);
  }
  return constant(mask, [repeats * time, time]);
}

/**
 * One layer over whole sequences that start at position 0 and are padded on the right: the causal mask keeps
 * padding out of everything but itself.
 *
 * @param x [N·T, d]
 */
function sequenceLayer(
  config: LlamaConfig,
  parameters: Parameters,
  index: number,
  x: Tensor,
  positions: Tensor,
  tables: RotaryTables,
  mask: Tensor,
): LayerResult {
  const { numAttentionHeads: heads, numKeyValueHeads: groups, headDim } = config;
  const repeats = heads / groups;
  const [n] = positions.shape as [Dim, Dim];
  const time = positions.staticDim(1);
  const layer = `model.layers.${index}`;
  const weight = (name: string): Tensor => weightOf(parameters, `${layer}.${name}.weight`);

  const normed = rmsNorm(x, weight('input_layernorm'), config.rmsNormEps);
  const split = (projection: string, count: number): Tensor =>
    transpose(reshape(linear(normed, weight(`self_attn.${projection}`)), [n, time, count, headDim]), [0, 2, 1, 3]);
  const queries = rotary(split('q_proj', heads), positions, tables.cosines, tables.sines); // [N, H, T, D]
  const keys = rotary(split('k_proj', groups), positions, tables.cosines, tables.sines); // [N, K, T, D]
  const values = split('v_proj', groups);

  // The R query heads of one key head lie next to each other, so folding them into time needs no copy of the keys.
  const folded = reshape(mul(queries, 1 / Math.sqrt(headDim)), [n, groups, repeats * time, headDim]);
  const scores = add(matmul(folded, keys, { transposeB: true }), mask); // [N, K, R·T, T]
  const mixed = reshape(matmul(softmax(scores), values), [n, heads, time, headDim]);
  const joined = reshape(transpose(mixed, [0, 2, 1, 3]), [x.shape[0]!, heads * headDim]);
  const attended = add(x, linear(joined, weight('self_attn.o_proj')));
  return { hidden: feedForward(config, parameters, layer, attended), keys, values };
}

/**
 * The hidden states of whole sequences after the last norm.
 *
 * @param tokens int32 [N, T], T fixed, padded on the right
 * @param positions int32 [N, T]: 0, 1, … in every row
 * @returns hidden [N·T, d], and each layer's keys and values [N, K, T, D]
 */
export function sequenceHidden(
  config: LlamaConfig,
  parameters: Parameters,
  tokens: Tensor,
  positions: Tensor,
): { hidden: Tensor; layers: { keys: Tensor; values: Tensor }[] } {
  const time = tokens.staticDim(1);
  const [n] = tokens.shape as [Dim, Dim];
  const rows = typeof n === 'number' ? n * time : `${n}*${time}`;
  const tables = rotaryTables(config, time);
  const mask = causalMask(config.numAttentionHeads / config.numKeyValueHeads, time);
  const embedded = gatherRows(weightOf(parameters, 'model.embed_tokens.weight'), reshape(tokens, [rows]));
  let hidden = embedded;
  const layers: { keys: Tensor; values: Tensor }[] = [];
  for (let i = 0; i < config.numHiddenLayers; i++) {
    const result = sequenceLayer(config, parameters, i, hidden, positions, tables, mask);
    hidden = result.hidden;
    layers.push({ keys: result.keys, values: result.values });
  }
  return { hidden: rmsNorm(hidden, weightOf(parameters, 'model.norm.weight'), config.rmsNormEps), layers };
}

/** Logits of hidden states. @param hidden [M, d] @returns [M, V] */
export function vocabularyLogits(config: LlamaConfig, parameters: Parameters, hidden: Tensor): Tensor {
  const name = config.tieWordEmbeddings ? 'model.embed_tokens.weight' : 'lm_head.weight';
  return linear(hidden, weightOf(parameters, name));
}

export interface TokenStatistics {
  /** log π(target | everything before it) at the sampling temperature, [M] */
  readonly logProbabilities: Tensor;
  /** entropy of the next-token distribution at the sampling temperature, in nats, [M]; carries no gradient */
  readonly entropies: Tensor;
}

/**
 * Teacher-forced log-probabilities of chosen next tokens. Only the chosen positions meet the vocabulary matrix.
 *
 * @param tokens int32 [B, T], T fixed, padded on the right
 * @param positions int32 [B, T]
 * @param at int32 [M]: positions b·T + t whose next token is asked for
 * @param targets int32 [M]: those next tokens
 * @param temperature float32 scalar > 0
 */
export function tokenStatistics(
  config: LlamaConfig,
  parameters: Parameters,
  tokens: Tensor,
  positions: Tensor,
  at: Tensor,
  targets: Tensor,
  temperature: Tensor,
): TokenStatistics {
  const { hidden } = sequenceHidden(config, parameters, tokens, positions);
  const logits = vocabularyLogits(config, parameters, gatherRows(hidden, at));
  const logs = logSoftmax(div(logits, temperature)); // [M, V]
  const logProbabilities = squeeze(gatherElements(logs, unsqueeze(targets, [1]), 1), [1]);
  const fixed = stopGradient(logs);
  return { logProbabilities, entropies: neg(sum(mul(exp(fixed), fixed), [1])) };
}

/** What a prompt leaves behind for its completions: one copy, however many they are. */
export interface PromptCache {
  /** per layer, [N, K, P, D] */
  readonly keys: readonly Tensor[];
  readonly values: readonly Tensor[];
  /** 0 where the prompt has a token, −1e9 in its padding: [N, 1, 1, P] */
  readonly mask: Tensor;
}

/** What the rows have said so far: per layer, [B, K, C, D], zero beyond the current round. */
export interface CompletionCache {
  readonly keys: readonly Tensor[];
  readonly values: readonly Tensor[];
}

/**
 * A function that decodes one token of every row. The G rows of a prompt lie next to each other and read one copy of its
 * keys and values; what they said themselves has a cache of its own, in which all rows write at the same round.
 *
 * Attention is written out in primitives: onnxruntime's GroupQueryAttention wants a cache of its own for every row, and
 * copies all of it at every round.
 *
 * @returns from token int32 [B], position int32 [B], round int32 scalar and what was said before: logits [B, V] and the
 *   cache with this token in it
 */
export function decoder(
  config: LlamaConfig,
  parameters: Parameters,
  prompt: PromptCache,
  groupSize: number,
  completionLength: number,
): (
  token: Tensor,
  position: Tensor,
  round: Tensor,
  said: CompletionCache,
) => { logits: Tensor; said: CompletionCache } {
  const { numAttentionHeads: heads, numKeyValueHeads: groups, headDim } = config;
  const repeats = heads / groups;
  const promptLength = prompt.mask.staticDim(3);
  const tables = rotaryTables(config, promptLength + completionLength);
  const slots = constant(
    Array.from({ length: completionLength }, (_, i) => i),
    [completionLength],
    'int32',
  );

  /** [B, K, R, x] as [N, K, G·R, x], so that one product with the prompt's own copy serves the group; and back. */
  const byPrompt = (x: Tensor): Tensor => {
    const last = x.staticDim(3);
    const split = reshape(x, ['N', groupSize, groups, repeats, last]);
    return reshape(transpose(split, [0, 2, 1, 3, 4]), ['N', groups, groupSize * repeats, last]);
  };
  const byRow = (x: Tensor): Tensor => {
    const last = x.staticDim(3);
    const split = reshape(x, ['N', groups, groupSize, repeats, last]);
    return reshape(transpose(split, [0, 2, 1, 3, 4]), ['B', groups, repeats, last]);
  };

  return (token, position, round, said) => {
    const at = unsqueeze(position, [1]);
    const now = reshape(cast(equal(slots, round), 'float32'), [completionLength, 1]);
    const future = where(greater(slots, round), -1e9, 0); // [C]
    /** The cache with this round's slot, zero so far, filled in. @param x [B, K, 1, D] */
    const written = (cache: Tensor, x: Tensor): Tensor => add(cache, mul(now, x));
    const [keysOut, valuesOut]: [Tensor[], Tensor[]] = [[], []];
    let hidden = gatherRows(weightOf(parameters, 'model.embed_tokens.weight'), token); // [B, d]
    for (let i = 0; i < config.numHiddenLayers; i++) {
      const layer = `model.layers.${i}`;
      const weight = (name: string): Tensor => weightOf(parameters, `${layer}.${name}.weight`);
      const normed = rmsNorm(hidden, weight('input_layernorm'), config.rmsNormEps);
      const split = (projection: string, count: number): Tensor =>
        reshape(linear(normed, weight(`self_attn.${projection}`)), ['B', count, 1, headDim]);
      const turned = rotary(split('q_proj', heads), at, tables.cosines, tables.sines);
      const queries = mul(reshape(turned, ['B', groups, repeats, headDim]), 1 / Math.sqrt(headDim)); // [B, K, R, D]
      const keys = written(said.keys[i]!, rotary(split('k_proj', groups), at, tables.cosines, tables.sines));
      const values = written(said.values[i]!, split('v_proj', groups));
      keysOut.push(keys);
      valuesOut.push(values);

      const toPrompt = add(matmul(byPrompt(queries), prompt.keys[i]!, { transposeB: true }), prompt.mask);
      const toSaid = add(matmul(queries, keys, { transposeB: true }), future); // [B, K, R, C]
      const shares = softmax(concat([byRow(toPrompt), toSaid], 3)); // [B, K, R, P + C]
      const fromPrompt = byRow(matmul(byPrompt(slice(shares, 3, 0, promptLength)), prompt.values[i]!));
      const fromSaid = matmul(slice(shares, 3, promptLength, promptLength + completionLength), values);
      const joined = reshape(add(fromPrompt, fromSaid), ['B', heads * headDim]);
      hidden = feedForward(config, parameters, layer, add(hidden, linear(joined, weight('self_attn.o_proj'))));
    }
    const normed = rmsNorm(hidden, weightOf(parameters, 'model.norm.weight'), config.rmsNormEps);
    return { logits: vocabularyLogits(config, parameters, normed), said: { keys: keysOut, values: valuesOut } };
  };
}
