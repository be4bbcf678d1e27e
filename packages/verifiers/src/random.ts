/**
 * A generator of 32-bit integers that depends on its seed alone (Mulberry32: a Weyl sequence through a mixing hash).
 * For choosing instances; not for sampling tokens and not for secrets.
 */
export function randomIntegers(seed: number): (below: number) => number {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  };
  // 53 bits, so that ranges beyond 2³² are covered as well.
  return (below) => Math.floor(((next() * 2 ** 21 + (next() >>> 11)) / 2 ** 53) * below);
}

/**
 * `count` different integers of 0..below−1 in random order.
 *
 * @throws RangeError when there are not that many
 */
export function drawDistinct(count: number, below: number, seed: number): number[] {
  if (!Number.isInteger(count) || count < 1 || count > below) {
    throw new RangeError(`count must be an integer from 1 to the ${below} instances there are, not ${count}.`);
  }
  if (!Number.isInteger(seed)) throw new RangeError(`seed must be an integer, not ${seed}.`);
  const random = randomIntegers(seed);
  // A Fisher-Yates shuffle whose untouched positions are left unwritten.
  const moved = new Map<number, number>();
  const drawn: number[] = [];
  for (let i = 0; i < count; i++) {
    const j = i + random(below - i);
    drawn.push(moved.get(j) ?? j);
    moved.set(j, moved.get(i) ?? i);
  }
  return drawn;
}
