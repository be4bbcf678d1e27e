import type { TensorPlan } from './families.js';

/** The values of a tensor of the file in Hugging Face's order. */
export function toHuggingFace(stored: Float32Array, { shape, layout }: TensorPlan): Float32Array {
  if (layout === 'same') return stored;
  if (layout === 'transposed') return transpose(stored, shape[1]!, shape[0]!);
  return moveRows(stored, shape, layout.heads, 'apart');
}

/** The inverse of `toHuggingFace`. */
export function fromHuggingFace(values: Float32Array, { shape, layout }: TensorPlan): Float32Array {
  if (layout === 'same') return values;
  if (layout === 'transposed') return transpose(values, shape[0]!, shape[1]!);
  return moveRows(values, shape, layout.heads, 'together');
}

function transpose(values: Float32Array, rows: number, columns: number): Float32Array {
  const out = new Float32Array(values.length);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) out[c * rows + r] = values[r * columns + c]!;
  }
  return out;
}

/** Row 2j + s of a head in the file is row j + s·D/2 in Hugging Face. */
function moveRows(
  values: Float32Array,
  shape: readonly number[],
  heads: number,
  pairs: 'apart' | 'together',
): Float32Array {
  const rows = shape[0]!;
  const width = values.length / rows;
  const half = rows / heads / 2;
  const out = new Float32Array(values.length);
  for (let head = 0; head < heads; head++) {
    for (let j = 0; j < half; j++) {
      for (let s = 0; s < 2; s++) {
        const [near, far] = [2 * (head * half + j) + s, 2 * head * half + s * half + j];
        const [from, to] = pairs === 'apart' ? [near, far] : [far, near];
        out.set(values.subarray(from * width, (from + 1) * width), to * width);
      }
    }
  }
  return out;
}
