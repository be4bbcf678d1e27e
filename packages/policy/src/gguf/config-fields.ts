import { GgufError } from './error.js';
import type { Config } from './families.js';

/** A field of config.json; null counts as missing. @throws GgufError naming the field */
export function integer(config: Config, field: string, fallback?: number): number {
  const value = config[field] ?? fallback;
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 1)
    throw wrong(config, field, 'a positive integer');
  return value;
}

export function number(config: Config, field: string, fallback?: number): number {
  const value = config[field] ?? fallback;
  if (typeof value !== 'number' || !Number.isFinite(value)) throw wrong(config, field, 'a number');
  return value;
}

export function boolean(config: Config, field: string, fallback: boolean): boolean {
  const value = config[field] ?? fallback;
  if (typeof value !== 'boolean') throw wrong(config, field, 'true or false');
  return value;
}

export function wrong(config: Config, field: string, wanted: string): GgufError {
  return new GgufError(`config.json: ${field} is ${JSON.stringify(config[field])}, but a GGUF file needs ${wanted}`);
}
