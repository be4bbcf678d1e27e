let table: Float32Array | undefined;

/** The value of each of the 2¹⁶ IEEE 754 half-precision numbers; made when first needed. */
export function halfValues(): Float32Array {
  table ??= Float32Array.from({ length: 0x10000 }, (_, bits) => halfToNumber(bits));
  return table;
}

function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/**
 * Float32 bits to the nearest half-precision number's, ties to even. What is too large becomes infinity.
 *
 * @param bits as a Uint32Array over the numbers gives them
 */
export function halfBits(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude >= 0x47800000) return magnitude > 0x7f800000 ? sign | 0x7e00 : sign | 0x7c00; // 2¹⁶ and up
  if (magnitude >= 0x38800000) {
    // Normal: drop 13 bits of fraction, and 112 of the exponent's bias. A carry moves on into the exponent, as it should.
    return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
  }
  if (magnitude < 0x33000000) return sign; // below half of the smallest
  // Subnormal, in units of 2⁻²⁴.
  const shift = 126 - (magnitude >>> 23);
  const fraction = (magnitude & 0x7fffff) | 0x800000;
  const rest = fraction & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  const kept = fraction >>> shift;
  return sign | (rest > half || (rest === half && kept & 1) ? kept + 1 : kept);
}
