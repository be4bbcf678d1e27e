import type { ModelConfig } from './config.js';
import { familyOf } from './families/index.js';
import { adapterShapes, type LoraOptions, loraModules } from './lora.js';
import type { Weights } from './policy.js';
import { readSafetensors, writeSafetensors } from './safetensors.js';

/** An adapter folder that Hugging Face PEFT and vLLM load: `adapter_config.json` and `adapter_model.safetensors`. */
export const ADAPTER_CONFIG_FILE = 'adapter_config.json';
export const ADAPTER_WEIGHTS_FILE = 'adapter_model.safetensors';

/** PEFT wraps the model twice before it names parameters. */
const PREFIX = 'base_model.model.';

/** An adapter folder asks for something that is not plain LoRA, or does not fit the model. */
export class AdapterError extends Error {
  override name = 'AdapterError';
}

/**
 * @param baseModel what PEFT looks the base up by: a hub id or a path; null where there is none to name
 * @returns the folder's files by name; equal adapters give equal bytes
 */
export function writeAdapter(
  config: ModelConfig,
  options: LoraOptions,
  adapter: Weights,
  baseModel: string | null,
): Map<string, Uint8Array> {
  const tensors = Object.fromEntries(Object.entries(adapter).map(([name, tensor]) => [PREFIX + name, tensor]));
  return new Map([
    [ADAPTER_CONFIG_FILE, adapterConfig(config, options, baseModel)],
    [ADAPTER_WEIGHTS_FILE, writeSafetensors(tensors)],
  ]);
}

function adapterConfig(config: ModelConfig, options: LoraOptions, baseModel: string | null): Uint8Array {
  const modules = loraModules(config, options);
  const settings = {
    base_model_name_or_path: baseModel,
    bias: 'none',
    fan_in_fan_out: modules.some((m) => m.layout === 'in×out'),
    inference_mode: true,
    init_lora_weights: true,
    lora_alpha: options.alpha,
    lora_dropout: 0,
    modules_to_save: null,
    peft_type: 'LORA',
    r: options.rank,
    // The last parts of names, which vLLM knows modules by.
    target_modules: [...new Set(modules.map((m) => m.name.split('.').at(-1)!))].sort(),
    task_type: 'CAUSAL_LM',
    use_dora: false,
    use_rslora: options.rslora,
  };
  return new TextEncoder().encode(`${JSON.stringify(settings, null, 2)}\n`);
}

/**
 * @param readFile reads a file of the folder by name
 * @throws AdapterError
 */
export async function readAdapter(
  config: ModelConfig,
  readFile: (name: string) => Promise<Uint8Array>,
): Promise<{ options: LoraOptions; adapter: Weights }> {
  const settings = JSON.parse(new TextDecoder().decode(await readFile(ADAPTER_CONFIG_FILE))) as Record<string, unknown>;
  const refuse = (field: string, wanted: string): never => {
    throw new AdapterError(
      `${ADAPTER_CONFIG_FILE}: ${field} is ${JSON.stringify(settings[field])}, but must be ${wanted}`,
    );
  };
  if (settings.peft_type !== 'LORA') refuse('peft_type', '"LORA"');
  if (settings.use_dora === true) refuse('use_dora', 'false');
  if (settings.bias !== undefined && settings.bias !== 'none') refuse('bias', '"none"');
  if (settings.modules_to_save) refuse('modules_to_save', 'null');
  for (const field of ['rank_pattern', 'alpha_pattern'] as const) {
    if (Object.keys(settings[field] ?? {}).length > 0) refuse(field, 'empty');
  }
  const { r, lora_alpha: alpha, target_modules: targets } = settings;
  if (typeof r !== 'number' || !Number.isInteger(r) || r < 1) refuse('r', 'a positive integer');
  if (typeof alpha !== 'number') refuse('lora_alpha', 'a number');
  const named = Array.isArray(targets) && targets.every((t) => typeof t === 'string');
  if (!named && targets !== 'all-linear') refuse('target_modules', '"all-linear" or a list of names');

  const options: LoraOptions = {
    rank: r as number,
    alpha: alpha as number,
    rslora: settings.use_rslora === true,
    targetModules: targets as string[] | 'all-linear',
  };
  const adapter: Record<string, Weights[string]> = {};
  for (const [nameInFile, tensor] of Object.entries(readSafetensors(await readFile(ADAPTER_WEIGHTS_FILE)))) {
    if (!nameInFile.startsWith(PREFIX))
      throw new AdapterError(`${ADAPTER_WEIGHTS_FILE} has ${nameInFile}, which is no LoRA weight`);
    const name = familyOf(config).parameterName(nameInFile.slice(PREFIX.length));
    if (name !== null) adapter[name] = tensor;
  }
  for (const [name, shape] of Object.entries(adapterShapes(config, options))) {
    const tensor = adapter[name];
    if (tensor?.shape.join() !== shape.join()) {
      throw new AdapterError(
        `${ADAPTER_WEIGHTS_FILE}: ${name} has shape [${tensor?.shape ?? 'nothing'}], but the model wants [${shape}]`,
      );
    }
  }
  return { options, adapter };
}
