import { boolean, integer, number, wrong } from './config-fields.js';
import { GgufError } from './error.js';
import type { Config, GgufFamily, MetadataEntry, TensorPlan } from './families.js';
import type { GgufHeader } from './header.js';
import type { Metadata } from './metadata.js';
import type { Llama3Scaling } from './rotary-scaling.js';

interface Variant {
  /** llama.cpp's rotary positions turn neighbours in this architecture */
  readonly interleavedHeads?: boolean;
  /** biases on queries, keys and values, always */
  readonly inputBiases?: boolean;
  /** RMSNorm on each query and key head */
  readonly headNorms?: boolean;
}

/** Settings of llama.cpp that change what a model computes, and that no config of these families can say. */
const REFUSED = [
  'expert_count',
  'attention.scale',
  'logit_scale',
  'residual_scale',
  'embedding_scale',
  'attention.alibi_bias',
];

/** transformers' value where a Mistral's `sliding_window` is missing. */
const MISTRAL_WINDOW = 4096;

const ARCHITECTURES: Readonly<Record<string, string>> = {
  llama: 'LlamaForCausalLM',
  mistral: 'MistralForCausalLM',
  qwen2: 'Qwen2ForCausalLM',
  qwen3: 'Qwen3ForCausalLM',
};

/** Llama and its relatives: RMSNorm, rotary positions, gated feed-forward. */
export function gatedDecoder(architecture: string, variant: Variant): GgufFamily {
  const at = (name: string): string => `${architecture}.${name}`;

  function readConfig(metadata: Metadata, header: GgufHeader): Config {
    for (const name of REFUSED) {
      const value = metadata.get(at(name));
      if (value !== undefined && value !== 0 && value !== false) throw metadata.wrong(at(name), 'missing or 0');
    }
    const width = metadata.integer(at('embedding_length'));
    const heads = metadata.integerOfLayers(at('attention.head_count'));
    const headDim = metadata.integer(at('attention.key_length'), width / heads);
    if (metadata.integer(at('attention.value_length'), headDim) !== headDim) {
      throw metadata.wrong(at('attention.value_length'), `the key length ${headDim}`);
    }
    const rotated = metadata.integer(at('rope.dimension_count'), headDim);
    if (rotated !== headDim) throw metadata.wrong(at('rope.dimension_count'), `the head size ${headDim}`);
    const window = metadata.integer(at('attention.sliding_window'), 0);
    if (window > 0 && architecture !== 'llama') throw metadata.wrong(at('attention.sliding_window'), 'missing or 0');
    const modelType = window > 0 ? 'mistral' : architecture;
    const config: Record<string, unknown> = {
      architectures: [ARCHITECTURES[modelType]!],
      model_type: modelType,
      hidden_act: 'silu',
      vocab_size: header.tensors.get('token_embd.weight')?.shape[0] ?? 0,
      hidden_size: width,
      intermediate_size: metadata.integerOfLayers(at('feed_forward_length')),
      num_hidden_layers: metadata.integer(at('block_count')),
      num_attention_heads: heads,
      num_key_value_heads: metadata.integerOfLayers(at('attention.head_count_kv'), heads),
      head_dim: headDim,
      max_position_embeddings: metadata.integer(at('context_length')),
      rms_norm_eps: metadata.float(at('attention.layer_norm_rms_epsilon')),
      rope_theta: metadata.float(at('rope.freq_base'), 10000),
      rope_scaling: readScaling(metadata),
      tie_word_embeddings: !header.tensors.has('output.weight'),
    };
    if (modelType === 'llama') {
      config.attention_bias = header.tensors.has('blk.0.attn_q.bias');
      config.mlp_bias = header.tensors.has('blk.0.ffn_gate.bias');
    }
    if (modelType === 'mistral') config.sliding_window = window;
    if (architecture === 'qwen3') config.attention_bias = false;
    if (architecture.startsWith('qwen')) config.use_sliding_window = false;
    return config;
  }

  function readScaling(metadata: Metadata): unknown {
    const type = metadata.string(at('rope.scaling.type'), 'none');
    const factor = metadata.float(at('rope.scaling.factor'), metadata.float(at('rope.scale_linear'), 1));
    if (type === 'linear' || (type === 'none' && metadata.get(at('rope.scale_linear')) !== undefined)) {
      return factor === 1 ? null : { rope_type: 'linear', factor };
    }
    if (type === 'none') return null;
    // Left to whoever runs the model to refuse by its name in config.json.
    const context = metadata.get(at('rope.scaling.original_context_length'));
    return { rope_type: type, factor, ...(context === undefined ? {} : { original_max_position_embeddings: context }) };
  }

  function tensors(config: Config): TensorPlan[] {
    const { d, heads, keyHeads, headDim } = widths(config);
    const f = integer(config, 'intermediate_size');
    const v = integer(config, 'vocab_size');
    const outputBias = architecture === 'llama' && boolean(config, 'attention_bias', false);
    const inputBiases = variant.inputBiases === true || outputBias;
    const mlpBias = architecture === 'llama' && boolean(config, 'mlp_bias', false);
    const plans: TensorPlan[] = [];
    const add = (gguf: string, huggingFace: string, shape: number[], layout: TensorPlan['layout'] = 'same'): void => {
      plans.push({ gguf, huggingFace, shape, layout });
    };
    add('token_embd.weight', 'model.embed_tokens.weight', [v, d]);
    for (let i = 0; i < integer(config, 'num_hidden_layers'); i++) {
      const [from, to] = [`blk.${i}`, `model.layers.${i}`];
      const linear = (gguf: string, name: string, shape: [number, number], bias: boolean, turned?: number): void => {
        const layout = turned !== undefined && variant.interleavedHeads === true ? { heads: turned } : 'same';
        add(`${from}.${gguf}.weight`, `${to}.${name}.weight`, shape, layout);
        if (bias) add(`${from}.${gguf}.bias`, `${to}.${name}.bias`, [shape[0]], layout);
      };
      add(`${from}.attn_norm.weight`, `${to}.input_layernorm.weight`, [d]);
      linear('attn_q', 'self_attn.q_proj', [heads * headDim, d], inputBiases, heads);
      linear('attn_k', 'self_attn.k_proj', [keyHeads * headDim, d], inputBiases, keyHeads);
      linear('attn_v', 'self_attn.v_proj', [keyHeads * headDim, d], inputBiases);
      linear('attn_output', 'self_attn.o_proj', [d, heads * headDim], outputBias);
      if (variant.headNorms === true) {
        add(`${from}.attn_q_norm.weight`, `${to}.self_attn.q_norm.weight`, [headDim]);
        add(`${from}.attn_k_norm.weight`, `${to}.self_attn.k_norm.weight`, [headDim]);
      }
      add(`${from}.ffn_norm.weight`, `${to}.post_attention_layernorm.weight`, [d]);
      linear('ffn_gate', 'mlp.gate_proj', [f, d], mlpBias);
      linear('ffn_up', 'mlp.up_proj', [f, d], mlpBias);
      linear('ffn_down', 'mlp.down_proj', [d, f], mlpBias);
    }
    add('output_norm.weight', 'model.norm.weight', [d]);
    if (!boolean(config, 'tie_word_embeddings', false)) add('output.weight', 'lm_head.weight', [v, d]);
    return plans;
  }

  function writeConfig(config: Config): MetadataEntry[] {
    const { d, heads, keyHeads, headDim } = widths(config);
    const u32 = (name: string, value: number): MetadataEntry => ({ key: at(name), type: 'u32', value });
    const f32 = (name: string, value: number): MetadataEntry => ({ key: at(name), type: 'f32', value });
    const entries = [
      u32('vocab_size', integer(config, 'vocab_size')),
      u32('context_length', integer(config, 'max_position_embeddings')),
      u32('embedding_length', d),
      u32('block_count', integer(config, 'num_hidden_layers')),
      u32('feed_forward_length', integer(config, 'intermediate_size')),
      u32('attention.head_count', heads),
      u32('attention.head_count_kv', keyHeads),
      u32('attention.key_length', headDim),
      u32('attention.value_length', headDim),
      f32('attention.layer_norm_rms_epsilon', number(config, 'rms_norm_eps', 1e-6)),
      u32('rope.dimension_count', headDim),
      f32('rope.freq_base', rotaryOf(config).theta),
    ];
    const window = slidingWindow(config);
    if (window !== null) entries.push(u32('attention.sliding_window', window));
    const { scaling } = rotaryOf(config);
    if (scaling?.type === 'linear') {
      entries.push(
        { key: at('rope.scaling.type'), type: 'string', value: 'linear' },
        f32('rope.scaling.factor', scaling.factor),
      );
    }
    if (scaling?.type === 'llama3') {
      entries.push(u32('rope.scaling.original_context_length', scaling.original_max_position_embeddings));
    }
    return entries;
  }

  // The first has its own place in the config; older files repeat the second in every layer.
  return { readConfig, tensors, writeConfig, ignored: /^rope_freqs\.weight$|^blk\.\d+\.attn_rot_embd$/ };
}

function widths(config: Config): { d: number; heads: number; keyHeads: number; headDim: number } {
  const d = integer(config, 'hidden_size');
  const heads = integer(config, 'num_attention_heads');
  const headDim = integer(config, 'head_dim', config.model_type === 'qwen3' ? 128 : d / heads);
  return { d, heads, keyHeads: integer(config, 'num_key_value_heads', heads), headDim };
}

/** Tokens that attention looks back; null when it looks back over all. @throws GgufError for windows of some layers only */
export function slidingWindow(config: Config): number | null {
  if (config.model_type === 'mistral') {
    return config.sliding_window === null ? null : integer(config, 'sliding_window', MISTRAL_WINDOW);
  }
  if (config.use_sliding_window === true) throw wrong(config, 'use_sliding_window', 'false');
  return null;
}

export interface Rotary {
  readonly theta: number;
  readonly scaling:
    | { readonly type: 'linear'; readonly factor: number }
    | ({ readonly type: 'llama3' } & Llama3Scaling)
    | null;
}

/** θ and scaling, from the fields of transformers 4 or from `rope_parameters` of transformers 5. */
export function rotaryOf(config: Config): Rotary {
  const [field, found] = (['rope_parameters', 'rope_scaling'] as const)
    .map((name) => [name, config[name]] as const)
    .find(([, value]) => typeof value === 'object' && value !== null) ?? ['rope_scaling', {}];
  const parameters = found as Config;
  const theta = number(parameters, 'rope_theta', number(config, 'rope_theta', 10000));
  const type = parameters.rope_type ?? parameters.type ?? 'default';
  if (type === 'default') return { theta, scaling: null };
  const factor = number(parameters, 'factor');
  if (type === 'linear') return { theta, scaling: { type, factor } };
  if (type !== 'llama3') throw wrong(config, field, 'none, or of type linear or llama3');
  return {
    theta,
    scaling: {
      type,
      factor,
      low_freq_factor: number(parameters, 'low_freq_factor'),
      high_freq_factor: number(parameters, 'high_freq_factor'),
      original_max_position_embeddings: integer(parameters, 'original_max_position_embeddings'),
    },
  };
}

/** @throws GgufError when the config is of no family with rotary positions */
export function headDimOf(config: Config): number {
  const { headDim } = widths(config);
  if (headDim % 2 !== 0) throw new GgufError(`a head of ${headDim} has no pairs to turn`);
  return headDim;
}
