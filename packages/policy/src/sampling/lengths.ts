import { int32, type Value } from '@polymode/autodiff';
import { roundedLength } from '../batch.js';

/** Cache columns come in multiples of this: sums over them are then blocked alike whatever their number. */
export const COLUMNS = 64;
/** Tokens, padding included, that one run reads of prompts at most, unless one prompt alone is longer. */
export const PREFILL_TOKENS = 2048;

/** To what a prompt is padded where it is read: few different lengths, since each has a session of its own. */
export function readLength(length: number): number {
  const short = COLUMNS / 2;
  return length <= short ? short : multiple(roundedLength(length), COLUMNS);
}

/** n rounded up. */
export function multiple(n: number, of: number): number {
  return Math.ceil(n / of) * of;
}

/** 0, 1, … */
export function counting(n: number): Value {
  return int32(
    Int32Array.from({ length: n }, (_, i) => i),
    [n],
  );
}
