import { gatedDecoder, gatedDecoderConfig } from './gated-decoder.js';

/** Qwen3 (arXiv:2505.09388): Llama's design with RMSNorm on each query and key head. */
export const qwen3 = gatedDecoder({
  name: 'qwen3',
  architecture: 'Qwen3ForCausalLM',
  inputBiases: false,
  headNorms: true,
  parseConfig(reader) {
    reader.requireOneOf('attention_bias', [false, null, undefined]);
    const config = gatedDecoderConfig(reader, 'qwen3', { headDim: 128, maxPositionEmbeddings: 32768 });
    const window = reader.boolean('use_sliding_window', false) ? reader.positiveInteger('sliding_window', 4096) : null;
    const from = Number(reader.get('max_window_layers') ?? 28);
    return { ...config, slidingWindows: reader.slidingWindows(config.numHiddenLayers, window, (i) => i >= from) };
  },
});
