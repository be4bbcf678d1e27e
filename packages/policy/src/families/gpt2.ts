import { add, gatherRows, geluTanh, layerNorm, less, split, type Tensor, where } from '@polymode/autodiff';
import { type ModelConfig, UnsupportedConfigError } from '../config.js';
import { project, weightOf } from '../transformer/parameters.js';
import type { Family, LinearModule } from './family.js';

const layersOf = (config: ModelConfig): string[] =>
  Array.from({ length: config.numHiddenLayers }, (_, i) => `transformer.h.${i}`);

/** GPT-2's matrices lie [in, out], and queries, keys and values come from one. */
const modulesOf = ({ hiddenSize: d, intermediateSize: f }: ModelConfig, layer: string): LinearModule[] => [
  { name: `${layer}.attn.c_attn`, inputs: d, outputs: 3 * d, layout: 'in×out' },
  { name: `${layer}.attn.c_proj`, inputs: d, outputs: d, layout: 'in×out' },
  { name: `${layer}.mlp.c_fc`, inputs: d, outputs: f, layout: 'in×out' },
  { name: `${layer}.mlp.c_proj`, inputs: f, outputs: d, layout: 'in×out' },
];

/** GPT-2: LayerNorm, learned positions, GELU, biases everywhere. */
export const gpt2: Family = {
  name: 'gpt2',
  architecture: 'GPT2LMHeadModel',

  parseConfig(reader) {
    reader.requireOneOf('activation_function', ['gelu_new', 'gelu_pytorch_tanh', undefined]);
    reader.requireOneOf('scale_attn_weights', [true, undefined]);
    reader.requireOneOf('scale_attn_by_inverse_layer_idx', [false, undefined]);
    reader.requireOneOf('add_cross_attention', [false, undefined]);
    reader.requireOneOf('quantization_config', [null, undefined]);
    const hiddenSize = reader.positiveInteger('n_embd', 768);
    const heads = reader.positiveInteger('n_head', 12);
    const numHiddenLayers = reader.positiveInteger('n_layer', 12);
    if (hiddenSize % heads !== 0) {
      throw new UnsupportedConfigError('n_head', heads, `a divisor of n_embd ${hiddenSize}`);
    }
    return {
      family: 'gpt2',
      vocabSize: reader.positiveInteger('vocab_size', 50257),
      hiddenSize,
      intermediateSize: reader.positiveInteger('n_inner', 4 * hiddenSize),
      numHiddenLayers,
      numAttentionHeads: heads,
      numKeyValueHeads: heads,
      headDim: hiddenSize / heads,
      normEpsilon: reader.positive('layer_norm_epsilon', 1e-5),
      rotary: null,
      slidingWindows: Array.from({ length: numHiddenLayers }, () => null),
      tieWordEmbeddings: reader.boolean('tie_word_embeddings', true),
      maxPositionEmbeddings: reader.positiveInteger('n_positions', 1024),
      ...reader.specialTokens(),
    };
  },

  parameterShapes(config) {
    const { hiddenSize: d, vocabSize: v } = config;
    const shapes: Record<string, number[]> = {
      'transformer.wte.weight': [v, d],
      'transformer.wpe.weight': [config.maxPositionEmbeddings, d],
    };
    const norm = (name: string): void => {
      shapes[`${name}.weight`] = [d];
      shapes[`${name}.bias`] = [d];
    };
    for (const layer of layersOf(config)) {
      norm(`${layer}.ln_1`);
      norm(`${layer}.ln_2`);
      for (const { name, inputs, outputs } of modulesOf(config, layer)) {
        shapes[`${name}.weight`] = [inputs, outputs];
        shapes[`${name}.bias`] = [outputs];
      }
    }
    norm('transformer.ln_f');
    if (!config.tieWordEmbeddings) shapes['lm_head.weight'] = [v, d];
    return shapes;
  },

  // The first checkpoints lack the prefix, and carry the causal mask as a buffer.
  parameterName(name) {
    if (/\bh\.\d+\.attn\.(masked_)?bias$/.test(name)) return null;
    return name.startsWith('transformer.') || name === 'lm_head.weight' ? name : `transformer.${name}`;
  },

  linearModules: (config) => layersOf(config).flatMap((layer) => modulesOf(config, layer)),

  embed(config, parameters, tokens, positions) {
    // Padding may lie beyond the context, where the table ends.
    const last = config.maxPositionEmbeddings - 1;
    const known = where(less(positions, last), positions, last);
    return add(
      gatherRows(weightOf(parameters, 'transformer.wte.weight'), tokens),
      gatherRows(weightOf(parameters, 'transformer.wpe.weight'), known),
    );
  },

  layer(config, parameters, index) {
    const layer = `transformer.h.${index}`;
    const { hiddenSize: d, normEpsilon } = config;
    const norm = (x: Tensor, name: string): Tensor =>
      layerNorm(
        x,
        weightOf(parameters, `${layer}.${name}.weight`),
        weightOf(parameters, `${layer}.${name}.bias`),
        normEpsilon,
      );
    const linear = (x: Tensor, name: string): Tensor =>
      project(parameters, `${layer}.${name}`, x, { bias: true, layout: 'in×out' });
    return {
      attentionInput(x) {
        const [queries, keys, values] = split(linear(norm(x, 'ln_1'), 'attn.c_attn'), 1, [d, d, d]);
        return { queries: queries!, keys: keys!, values: values! };
      },
      attentionOutput: (mixed) => linear(mixed, 'attn.c_proj'),
      feedForward: (x) => linear(geluTanh(linear(norm(x, 'ln_2'), 'mlp.c_fc')), 'mlp.c_proj'),
    };
  },

  finalNorm: (config, parameters, x) =>
    layerNorm(
      x,
      weightOf(parameters, 'transformer.ln_f.weight'),
      weightOf(parameters, 'transformer.ln_f.bias'),
      config.normEpsilon,
    ),
  vocabularyWeight: (config) => (config.tieWordEmbeddings ? 'transformer.wte.weight' : 'lm_head.weight'),
};
