import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { mergeAdapter } from '../lora.js';
import { readAdapter, writeAdapter } from '../peft.js';
import { bytesFile, ExportError, type ExportSource, type Format } from './format.js';
import { logitsOfWeights } from './logits.js';

/** What an adapter is used with beside its base. */
const TOKENIZER_FILES = new Set([
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'chat_template.jinja',
]);

/** A PEFT folder, which `peft` and vLLM load beside the base model. */
export const adapter: Format = {
  files: async (source) => {
    const { policy, name, otherFiles } = source;
    const files = writeAdapter(policy.config, loraOf(source), await policy.trainedWeights(), name);
    return [
      ...[...files].map(([path, bytes]) => bytesFile(path, bytes)),
      ...[...otherFiles].flatMap(([path, bytes]) => (TOKENIZER_FILES.has(path) ? [bytesFile(path, bytes)] : [])),
    ];
  },
  logits: async (folder, source, expected) => {
    const { policy } = source;
    const { config } = policy;
    const { options, adapter: weights } = await readAdapter(config, (name) => readFile(join(folder, name)));
    const model = await mergeAdapter(config, options, await policy.weights(), weights);
    return logitsOfWeights(config, model, policy.paddingToken, expected);
  },
  tolerance: () => 1e-4,
};

function loraOf({ policy }: ExportSource): NonNullable<ExportSource['policy']['lora']> {
  if (policy.lora === null) throw new ExportError('a policy that trains all weights has no adapter');
  return policy.lora;
}
