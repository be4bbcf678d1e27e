import { join } from 'node:path';
import { parseModelConfig } from '../families/index.js';
import { type Config, type GgufOutput, readGgufModel, writeGguf } from '../gguf/index.js';
import { type ExportSource, type Format, jsonOf, mergedWeights } from './format.js';
import { logitsOfWeights } from './logits.js';

const FILE = 'model.gguf';

/** One file for llama.cpp and what is built on it, tokenizer and chat template included. */
export const gguf: Format = {
  files: async (source) => [
    {
      path: FILE,
      async *chunks() {
        yield* await output(source);
      },
    },
  ],
  logits: async (folder, { policy }, expected) => {
    const { config, weights } = await readGgufModel(join(folder, FILE));
    return logitsOfWeights(parseModelConfig(config), weights, policy.paddingToken, expected);
  },
  // Weights are rounded to 11 significant bits, or to 8 within each block of 32.
  tolerance: ({ ggufType }) => (ggufType === 'F16' ? 1e-2 : 1e-1),
  warnings: async (source) => (await output(source)).warnings,
};

async function output(source: ExportSource): Promise<GgufOutput> {
  return writeGguf(
    {
      config: jsonOf(source, 'config.json') as Config,
      weights: await mergedWeights(source),
      otherFiles: source.otherFiles,
    },
    source.ggufType,
    source.name,
  );
}
