/** n over k; exact while it is a safe integer. */
export function choose(n: number, k: number): number {
  let product = 1;
  for (let i = 1; i <= Math.min(k, n - k); i++) product = (product * (n - Math.min(k, n - k) + i)) / i;
  return k > n ? 0 : Math.round(product);
}

/** The k of 0..n−1 that are the combination of this rank in lexicographic order, ascending. */
export function combinationAt(rank: number, n: number, k: number): number[] {
  const chosen: number[] = [];
  let left = rank;
  for (let one = 0; chosen.length < k; one++) {
    const withThisOne = choose(n - one - 1, k - chosen.length - 1);
    if (left < withThisOne) chosen.push(one);
    else left -= withThisOne;
  }
  return chosen;
}
