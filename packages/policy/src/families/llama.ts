import { gatedDecoder, gatedDecoderConfig } from './gated-decoder.js';

/** Llama (arXiv:2302.13971) and models saved as one: SmolLM2, TinyLlama, Llama 3.2. */
export const llama = gatedDecoder({
  name: 'llama',
  architecture: 'LlamaForCausalLM',
  inputBiases: false,
  headNorms: false,
  parseConfig(reader) {
    reader.requireOneOf('attention_bias', [false, null, undefined]);
    reader.requireOneOf('mlp_bias', [false, null, undefined]);
    const config = gatedDecoderConfig(reader, 'llama', { maxPositionEmbeddings: 2048 });
    return { ...config, slidingWindows: Array.from({ length: config.numHiddenLayers }, () => null) };
  },
});
