import { dequantizers } from './dequantize.js';
import { GgufError } from './error.js';

/** How a tensor's values are stored: `block` values in `bytes` bytes. */
export interface TensorType {
  readonly name: string;
  readonly block: number;
  readonly bytes: number;
}

/** By the number that ggml gives it. Those that nothing here reads are listed to be refused by name. */
const TYPES: Readonly<Record<number, TensorType | string>> = {
  0: { name: 'F32', block: 1, bytes: 4 },
  1: { name: 'F16', block: 1, bytes: 2 },
  2: { name: 'Q4_0', block: 32, bytes: 18 },
  3: { name: 'Q4_1', block: 32, bytes: 20 },
  6: { name: 'Q5_0', block: 32, bytes: 22 },
  7: { name: 'Q5_1', block: 32, bytes: 24 },
  8: { name: 'Q8_0', block: 32, bytes: 34 },
  9: 'Q8_1',
  10: 'Q2_K',
  11: 'Q3_K',
  12: { name: 'Q4_K', block: 256, bytes: 144 },
  13: { name: 'Q5_K', block: 256, bytes: 176 },
  14: { name: 'Q6_K', block: 256, bytes: 210 },
  15: 'Q8_K',
  16: 'IQ2_XXS',
  17: 'IQ2_XS',
  18: 'IQ3_XXS',
  19: 'IQ1_S',
  20: 'IQ4_NL',
  21: 'IQ3_S',
  22: 'IQ2_S',
  23: 'IQ4_XS',
  24: 'I8',
  25: 'I16',
  26: 'I32',
  27: 'I64',
  28: 'F64',
  29: 'IQ1_M',
  30: { name: 'BF16', block: 1, bytes: 2 },
  34: 'TQ1_0',
  35: 'TQ2_0',
  39: 'MXFP4',
  40: 'NVFP4',
};

/** @throws GgufError naming a type that this package does not read */
export function tensorType(id: number, tensor: string): TensorType {
  const type = TYPES[id];
  if (typeof type === 'object') return type;
  throw new GgufError(
    `tensor ${tensor} is of type ${type ?? `number ${id}`}; supported are ${Object.keys(dequantizers).join(', ')}: ` +
      'take a file of another quantisation',
  );
}

export function tensorTypeId(name: 'F32' | 'F16' | 'Q8_0'): number {
  return { F32: 0, F16: 1, Q8_0: 8 }[name];
}
