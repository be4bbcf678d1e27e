import { describe, expect, it } from 'vitest';
import { parseLlamaConfig, UnsupportedConfigError } from './config.js';

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

describe('parseLlamaConfig', () => {
  it('reads what the graphs need', () => {
    expect(parseLlamaConfig(smol)).toEqual({
      vocabSize: 49152,
      hiddenSize: 576,
      intermediateSize: 1536,
      numHiddenLayers: 30,
      numAttentionHeads: 9,
      numKeyValueHeads: 3,
      headDim: 64,
      rmsNormEps: 1e-5,
      ropeTheta: 100000,
      tieWordEmbeddings: true,
      maxPositionEmbeddings: 8192,
      bosTokenId: 0,
      eosTokenIds: [0],
    });
  });

  it('fills in what transformers fills in', () => {
    const { num_key_value_heads: _k, rms_norm_eps: _e, rope_theta: _t, tie_word_embeddings: _w, ...rest } = smol;
    expect(parseLlamaConfig({ ...rest, bos_token_id: null, eos_token_id: null })).toMatchObject({
      numKeyValueHeads: 9,
      rmsNormEps: 1e-6,
      ropeTheta: 10000,
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
    expect(parseLlamaConfig({ ...smol, [field]: value }).ropeTheta).toBe(theta);
  });

  it('keeps a head size of its own and several ends of text', () => {
    const config = parseLlamaConfig({ ...smol, head_dim: 128, eos_token_id: [2, 5] });
    expect(config.headDim).toBe(128);
    expect(config.eosTokenIds).toEqual([2, 5]);
  });

  it.each([
    ['model_type', 'qwen2'],
    ['architectures', ['LlamaForSequenceClassification']],
    ['attention_bias', true],
    ['mlp_bias', true],
    ['hidden_act', 'gelu'],
    ['quantization_config', { quant_method: 'gptq' }],
    ['rope_scaling', { rope_type: 'llama3', factor: 8, original_max_position_embeddings: 8192 }],
    ['rope_scaling', { type: 'linear', factor: 2 }],
    ['rope_scaling', 'linear'],
    ['rope_parameters', { rope_type: 'yarn', rope_theta: 1e6, factor: 4 }],
    ['num_key_value_heads', 4],
    ['head_dim', 63],
    ['head_dim', 0],
    ['hidden_size', 576.5],
    ['vocab_size', '49152'],
    ['num_hidden_layers', undefined],
    ['rms_norm_eps', -1],
    ['rope_theta', 0],
  ])('refuses %s %j by name', (field, value) => {
    const parse = () => parseLlamaConfig({ ...smol, [field]: value });
    expect(parse).toThrow(UnsupportedConfigError);
    expect(parse).toThrow(value === undefined ? `${field} is missing` : `${field} is ${JSON.stringify(value)}`);
  });

  it('asks for head_dim when heads do not divide the hidden size', () => {
    const { num_key_value_heads: _, ...rest } = smol;
    expect(() => parseLlamaConfig({ ...rest, num_attention_heads: 7 })).toThrow(/head_dim is missing.*7 heads.*576/);
  });

  it.each([null, [], 'llama', 3])('refuses %j, which is no config', (json) => {
    expect(() => parseLlamaConfig(json)).toThrow('must be a JSON object');
  });
});
