import { gatedDecoder, gatedDecoderConfig } from './gated-decoder.js';

/** Qwen2 and Qwen2.5 (arXiv:2407.10671): Llama's design with biases on queries, keys and values. */
export const qwen2 = gatedDecoder({
  name: 'qwen2',
  architecture: 'Qwen2ForCausalLM',
  inputBiases: true,
  headNorms: false,
  parseConfig(reader) {
    const config = gatedDecoderConfig(reader, 'qwen2', { maxPositionEmbeddings: 32768 });
    const window = reader.boolean('use_sliding_window', false) ? reader.positiveInteger('sliding_window', 4096) : null;
    // The first layers see everything, as transformers has it.
    const from = Number(reader.get('max_window_layers') ?? 28);
    return { ...config, slidingWindows: reader.slidingWindows(config.numHiddenLayers, window, (i) => i >= from) };
  },
});
