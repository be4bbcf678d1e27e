import { ConfigReader, type FamilyName, type ModelConfig } from '../config.js';
import type { Family } from './family.js';
import { gpt2 } from './gpt2.js';
import { llama } from './llama.js';
import { mistral } from './mistral.js';
import { qwen2 } from './qwen2.js';
import { qwen3 } from './qwen3.js';

/** Every family, by the `model_type` of its config.json. */
export const families: Readonly<Record<FamilyName, Family>> = { llama, qwen2, qwen3, mistral, gpt2 };

export function familyOf(config: ModelConfig): Family {
  return families[config.family];
}

/** @throws UnsupportedConfigError naming the first field that this package cannot run */
export function parseModelConfig(json: unknown): ModelConfig {
  const reader = new ConfigReader(json);
  reader.requireOneOf('model_type', Object.keys(families));
  const family = families[reader.get('model_type') as FamilyName];
  reader.requireArchitecture(family.architecture);
  return family.parseConfig(reader);
}

/** Name and shape of every parameter, in a fixed order. Tied models have no `lm_head.weight`. */
export function parameterShapes(config: ModelConfig): Record<string, number[]> {
  return familyOf(config).parameterShapes(config);
}
