import { GgufError } from './error.js';
import type { GgufHeader, MetadataValue } from './header.js';

/** Reads metadata by key; what is missing or of another kind throws a GgufError naming the key. */
export class Metadata {
  constructor(private readonly values: GgufHeader['metadata']) {}

  get(key: string): MetadataValue | undefined {
    return this.values.get(key);
  }

  integer(key: string, fallback?: number): number {
    const value = this.number(key, fallback);
    if (!Number.isSafeInteger(value) || value < 0) throw this.wrong(key, 'a natural number');
    return value;
  }

  /** A number, or a list of one number for each layer, all equal. */
  integerOfLayers(key: string, fallback?: number): number {
    const value = this.values.get(key);
    if (!ArrayBuffer.isView(value)) return this.integer(key, fallback);
    const layers = [...(value as Int32Array)];
    if (layers.length === 0 || layers.some((n) => n !== layers[0])) throw this.wrong(key, 'the same in all layers');
    return Number(layers[0]);
  }

  number(key: string, fallback?: number): number {
    const value = this.values.get(key) ?? fallback;
    if (typeof value !== 'number' || !Number.isFinite(value)) throw this.wrong(key, 'a number');
    return value;
  }

  /** A float32, as the shortest decimal number that rounds to it: 1e-5, not 9.999999747378752e-6. */
  float(key: string, fallback?: number): number {
    return shortestDecimal(this.number(key, fallback));
  }

  string(key: string, fallback?: string): string {
    const value = this.values.get(key) ?? fallback;
    if (typeof value !== 'string') throw this.wrong(key, 'a string');
    return value;
  }

  boolean(key: string, fallback: boolean): boolean {
    const value = this.values.get(key) ?? fallback;
    if (typeof value !== 'boolean') throw this.wrong(key, 'true or false');
    return value;
  }

  strings(key: string): readonly string[] {
    const value = this.values.get(key);
    const isList = Array.isArray(value) && value.every((item) => typeof item === 'string');
    if (!isList) throw this.wrong(key, 'a list of strings');
    return value as readonly string[];
  }

  /** A list of numbers; undefined when there is none. */
  numbers(key: string): Int32Array | Float32Array | undefined {
    const value = this.values.get(key);
    if (value === undefined || value instanceof Int32Array || value instanceof Float32Array) return value;
    if (ArrayBuffer.isView(value)) return Float32Array.from(value as Uint8Array, Number);
    throw this.wrong(key, 'a list of numbers');
  }

  wrong(key: string, wanted: string): GgufError {
    const value = this.values.get(key);
    const shown = typeof value === 'object' ? 'a list' : `${value}`.slice(0, 80);
    return new GgufError(`metadata key ${key} is ${value === undefined ? 'missing' : shown}, but must be ${wanted}`);
  }
}

/** The shortest decimal number that rounds to the same float32. */
export function shortestDecimal(value: number): number {
  const rounded = Math.fround(value);
  for (let digits = 1; digits < 9; digits++) {
    const candidate = Number(rounded.toPrecision(digits));
    if (Math.fround(candidate) === rounded) return candidate;
  }
  return rounded;
}
