import { flatName, gatherRows, mul, reshape, rmsNorm, silu, type Tensor } from '@polymode/autodiff';
import type { ConfigReader, ModelConfig } from '../config.js';
import { project, weightOf } from '../transformer/parameters.js';
import type { Family, LinearModule } from './family.js';

/** What tells the Llama-like families apart. */
export interface GatedDecoderTraits {
  readonly name: Family['name'];
  readonly architecture: string;
  /** biases on the projections to queries, keys and values */
  readonly inputBiases: boolean;
  /** RMSNorm over the elements of each query and key head */
  readonly headNorms: boolean;
  parseConfig(reader: ConfigReader): ModelConfig;
}

/**
 * The design of Llama (arXiv:2302.13971) and those that follow it: RMSNorm before each half, rotary positions,
 * grouped-query attention and SwiGLU.
 */
export function gatedDecoder(traits: GatedDecoderTraits): Family {
  const modules = (config: ModelConfig, layer: string): LinearModule[] => {
    const { hiddenSize: d, intermediateSize: f, headDim } = config;
    const [queries, keys] = [config.numAttentionHeads * headDim, config.numKeyValueHeads * headDim];
    const module = (name: string, inputs: number, outputs: number): LinearModule => ({
      name: `${layer}.${name}`,
      inputs,
      outputs,
      layout: 'out×in',
    });
    return [
      module('self_attn.q_proj', d, queries),
      module('self_attn.k_proj', d, keys),
      module('self_attn.v_proj', d, keys),
      module('self_attn.o_proj', queries, d),
      module('mlp.gate_proj', d, f),
      module('mlp.up_proj', d, f),
      module('mlp.down_proj', f, d),
    ];
  };
  const layerNames = (config: ModelConfig): string[] =>
    Array.from({ length: config.numHiddenLayers }, (_, i) => `model.layers.${i}`);

  return {
    name: traits.name,
    architecture: traits.architecture,
    parseConfig: traits.parseConfig,
    linearModules: (config) => layerNames(config).flatMap((layer) => modules(config, layer)),
    // Old checkpoints carry the rotary frequencies, which follow from the config.
    parameterName: (name) => (name.endsWith('.rotary_emb.inv_freq') ? null : name),

    parameterShapes(config) {
      const { hiddenSize: d, vocabSize: v, headDim } = config;
      const shapes: Record<string, number[]> = { 'model.embed_tokens.weight': [v, d] };
      for (const layer of layerNames(config)) {
        shapes[`${layer}.input_layernorm.weight`] = [d];
        for (const { name, inputs, outputs } of modules(config, layer)) {
          shapes[`${name}.weight`] = [outputs, inputs];
          if (traits.inputBiases && /\.[qkv]_proj$/.test(name)) shapes[`${name}.bias`] = [outputs];
        }
        if (traits.headNorms) {
          shapes[`${layer}.self_attn.q_norm.weight`] = [headDim];
          shapes[`${layer}.self_attn.k_norm.weight`] = [headDim];
        }
        shapes[`${layer}.post_attention_layernorm.weight`] = [d];
      }
      shapes['model.norm.weight'] = [d];
      if (!config.tieWordEmbeddings) shapes['lm_head.weight'] = [v, d];
      return shapes;
    },

    embed: (_config, parameters, tokens) => gatherRows(weightOf(parameters, 'model.embed_tokens.weight'), tokens),

    layer(config, parameters, index) {
      const layer = `model.layers.${index}`;
      const { normEpsilon } = config;
      const norm = (x: Tensor, name: string): Tensor =>
        rmsNorm(x, weightOf(parameters, `${layer}.${name}.weight`), normEpsilon);
      const headNorm = (x: Tensor, name: string): Tensor => {
        if (!traits.headNorms) return x;
        const heads = reshape(x, [flatName([x.shape[0]!, x.staticDim(1) / config.headDim]), config.headDim]);
        return reshape(norm(heads, `self_attn.${name}`), x.shape);
      };
      const input = (x: Tensor, name: string): Tensor =>
        project(parameters, `${layer}.self_attn.${name}`, x, { bias: traits.inputBiases });
      return {
        attentionInput(x) {
          const normed = norm(x, 'input_layernorm');
          return {
            queries: headNorm(input(normed, 'q_proj'), 'q_norm'),
            keys: headNorm(input(normed, 'k_proj'), 'k_norm'),
            values: input(normed, 'v_proj'),
          };
        },
        attentionOutput: (mixed) => project(parameters, `${layer}.self_attn.o_proj`, mixed),
        feedForward(x) {
          const normed = norm(x, 'post_attention_layernorm');
          const gate = silu(project(parameters, `${layer}.mlp.gate_proj`, normed));
          return project(
            parameters,
            `${layer}.mlp.down_proj`,
            mul(gate, project(parameters, `${layer}.mlp.up_proj`, normed)),
          );
        },
      };
    },

    finalNorm: (config, parameters, x) => rmsNorm(x, weightOf(parameters, 'model.norm.weight'), config.normEpsilon),
    vocabularyWeight: (config) => (config.tieWordEmbeddings ? 'model.embed_tokens.weight' : 'lm_head.weight'),
  };
}

/** The fields that these families share; the rest of `config.json` is each family's own. */
export function gatedDecoderConfig(
  reader: ConfigReader,
  family: Family['name'],
  defaults: { readonly headDim?: number; readonly maxPositionEmbeddings: number },
): Omit<ModelConfig, 'slidingWindows'> {
  reader.requireOneOf('hidden_act', ['silu', 'swish', undefined]);
  reader.requireOneOf('quantization_config', [null, undefined]);
  reader.requireOneOf('partial_rotary_factor', [1, null, undefined]);
  const hiddenSize = reader.positiveInteger('hidden_size');
  return {
    family,
    vocabSize: reader.positiveInteger('vocab_size'),
    hiddenSize,
    intermediateSize: reader.positiveInteger('intermediate_size'),
    numHiddenLayers: reader.positiveInteger('num_hidden_layers'),
    ...reader.heads(hiddenSize, defaults.headDim),
    normEpsilon: reader.positive('rms_norm_eps', 1e-6),
    rotary: reader.rotary(),
    tieWordEmbeddings: reader.boolean('tie_word_embeddings', false),
    maxPositionEmbeddings: reader.positiveInteger('max_position_embeddings', defaults.maxPositionEmbeddings),
    ...reader.specialTokens(),
  };
}
