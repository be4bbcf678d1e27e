import { gatedDecoder, gatedDecoderConfig } from './gated-decoder.js';

/** transformers' value where `sliding_window` is missing; null switches it off. */
const DEFAULT_WINDOW = 4096;

/** Mistral 7B's design (arXiv:2310.06825): Llama's, with attention over a sliding window. */
export const mistral = gatedDecoder({
  name: 'mistral',
  architecture: 'MistralForCausalLM',
  inputBiases: false,
  headNorms: false,
  parseConfig(reader) {
    const config = gatedDecoderConfig(reader, 'mistral', { maxPositionEmbeddings: 131072 });
    const window =
      reader.get('sliding_window') === null ? null : reader.positiveInteger('sliding_window', DEFAULT_WINDOW);
    return { ...config, slidingWindows: reader.slidingWindows(config.numHiddenLayers, window, () => true) };
  },
});
