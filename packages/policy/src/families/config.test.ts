import { describe, expect, it } from 'vitest';
import { UnsupportedConfigError } from '../config.js';
import { parseModelConfig } from './index.js';

/** As SmolLM2-135M's, the smallest config.json in wide use. */
const smol = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  attention_bias: false,
  bos_token_id: 0,
  eos_token_id: 0,
  hidden_act: 'silu',
  hidden_size: 576,
  intermediate_size: 1536,
  max_position_embeddings: 8192,
  mlp_bias: false,
  num_attention_heads: 9,
  num_hidden_layers: 30,
  num_key_value_heads: 3,
  pretraining_tp: 1,
  rms_norm_eps: 1e-5,
  rope_scaling: null,
  rope_theta: 100000,
  tie_word_embeddings: true,
  torch_dtype: 'bfloat16',
  use_cache: true,
  vocab_size: 49152,
};

describe('parseModelConfig', () => {
  it('reads what the graphs need', () => {
    expect(parseModelConfig(smol)).toEqual({
      family: 'llama',
      vocabSize: 49152,
      hiddenSize: 576,
      intermediateSize: 1536,
      numHiddenLayers: 30,
      numAttentionHeads: 9,
      numKeyValueHeads: 3,
      headDim: 64,
      normEpsilon: 1e-5,
      rotary: { theta: 100000, scaling: null },
      slidingWindows: Array(30).fill(null),
      tieWordEmbeddings: true,
      maxPositionEmbeddings: 8192,
      bosTokenId: 0,
      eosTokenIds: [0],
    });
  });

  it('fills in what transformers fills in', () => {
    const { num_key_value_heads: _k, rms_norm_eps: _e, rope_theta: _t, tie_word_embeddings: _w, ...rest } = smol;
    expect(parseModelConfig({ ...rest, bos_token_id: null, eos_token_id: null })).toMatchObject({
      numKeyValueHeads: 9,
      normEpsilon: 1e-6,
      rotary: { theta: 10000, scaling: null },
      tieWordEmbeddings: false,
      bosTokenId: null,
      eosTokenIds: [],
    });
  });

  it.each([
    ['rope_parameters', { rope_theta: 500, rope_type: 'default' }, 500],
    ['rope_scaling', { type: 'default' }, 100000],
    ['rope_scaling', { rope_type: 'default', rope_theta: 7 }, 7],
  ])('reads %s %j', (field, value, theta) => {
    expect(parseModelConfig({ ...smol, [field]: value }).rotary?.theta).toBe(theta);
  });

  it('keeps a head size of its own and several ends of text', () => {
    const config = parseModelConfig({ ...smol, head_dim: 128, eos_token_id: [2, 5] });
    expect(config.headDim).toBe(128);
    expect(config.eosTokenIds).toEqual([2, 5]);
  });

  it.each([
    ['model_type', 'qwen2_moe'],
    ['architectures', ['LlamaForSequenceClassification']],
    ['attention_bias', true],
    ['mlp_bias', true],
    ['hidden_act', 'gelu'],
    ['quantization_config', { quant_method: 'gptq' }],
    ['rope_scaling', 'linear'],
    ['num_key_value_heads', 4],
    ['head_dim', 63],
    ['head_dim', 0],
    ['hidden_size', 576.5],
    ['vocab_size', '49152'],
    ['num_hidden_layers', undefined],
    ['rms_norm_eps', -1],
    ['rope_theta', 0],
  ])('refuses %s %j by name', (field, value) => {
    const parse = () => parseModelConfig({ ...smol, [field]: value });
    expect(parse).toThrow(UnsupportedConfigError);
    expect(parse).toThrow(value === undefined ? `${field} is missing` : `${field} is ${JSON.stringify(value)}`);
  });

  it.each([
    [{ rope_type: 'yarn', factor: 4 }, 'rope_scaling.rope_type is "yarn"'],
    [{ type: 'linear' }, 'rope_scaling.factor is missing'],
    [
      { rope_type: 'llama3', factor: 8, original_max_position_embeddings: 64 },
      'rope_scaling.low_freq_factor is missing',
    ],
  ])('refuses rope_scaling %j by the field inside', (value, message) => {
    expect(() => parseModelConfig({ ...smol, rope_scaling: value })).toThrow(message);
  });

  it('reads how rotary positions are stretched', () => {
    const scaled = (value: unknown) => parseModelConfig({ ...smol, rope_scaling: value }).rotary?.scaling;
    expect(scaled({ type: 'linear', factor: 2 })).toEqual({ type: 'linear', factor: 2 });
    const llama3 = {
      rope_type: 'llama3',
      factor: 32,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 8192,
    };
    expect(scaled(llama3)).toEqual({
      type: 'llama3',
      factor: 32,
      lowFrequencyFactor: 1,
      highFrequencyFactor: 4,
      originalMaxPositionEmbeddings: 8192,
    });
  });

  it('asks for head_dim when heads do not divide the hidden size', () => {
    const { num_key_value_heads: _, ...rest } = smol;
    expect(() => parseModelConfig({ ...rest, num_attention_heads: 7 })).toThrow(/head_dim is missing.*7 heads.*576/);
  });

  it.each([null, [], 'llama', 3])('refuses %j, which is no config', (json) => {
    expect(() => parseModelConfig(json)).toThrow('must be a JSON object');
  });
});

describe('parseModelConfig of other families', () => {
  const { model_type: _m, architectures: _a, ...shared } = smol;
  const windows = (json: object) => parseModelConfig({ ...shared, ...json }).slidingWindows;

  it('lets Mistral slide over 4096 tokens unless it says otherwise', () => {
    expect(new Set(windows({ model_type: 'mistral' }))).toEqual(new Set([4096]));
    expect(new Set(windows({ model_type: 'mistral', sliding_window: 16 }))).toEqual(new Set([16]));
    expect(new Set(windows({ model_type: 'mistral', sliding_window: null }))).toEqual(new Set([null]));
  });

  it.each(['qwen2', 'qwen3'])('lets the upper layers of %s slide where it is asked to', (model_type) => {
    expect(new Set(windows({ model_type, sliding_window: 16 }))).toEqual(new Set([null]));
    const some = windows({ model_type, use_sliding_window: true, sliding_window: 16, max_window_layers: 20 });
    expect(some).toEqual([...Array(20).fill(null), ...Array(10).fill(16)]);
    const listed = windows({
      model_type,
      num_hidden_layers: 2,
      sliding_window: 9,
      layer_types: ['sliding_attention', 'full_attention'],
    });
    expect(listed).toEqual([9, null]);
    expect(() => windows({ model_type, layer_types: ['chunked_attention'] })).toThrow('layer_types is');
  });

  it('gives Qwen3 its own head size', () => {
    expect(parseModelConfig({ ...shared, model_type: 'qwen3' }).headDim).toBe(128);
  });

  it("reads GPT-2's own names, with transformers' defaults", () => {
    expect(parseModelConfig({ model_type: 'gpt2', eos_token_id: 50256 })).toMatchObject({
      hiddenSize: 768,
      intermediateSize: 3072,
      numHiddenLayers: 12,
      numKeyValueHeads: 12,
      headDim: 64,
      rotary: null,
      tieWordEmbeddings: true,
      maxPositionEmbeddings: 1024,
    });
    expect(() => parseModelConfig({ model_type: 'gpt2', n_head: 5 })).toThrow('n_head is 5');
    expect(() => parseModelConfig({ model_type: 'gpt2', activation_function: 'relu' })).toThrow('activation_function');
  });
});
