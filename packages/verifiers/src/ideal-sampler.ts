/** What a perfect sampler is expected to reach with N independent uniform draws from K right answers. */
export interface IdealSummary {
  readonly validity: number;
  readonly uniqueness: number;
  readonly recovery: number;
  readonly top_outcome_share: number;
  readonly l1_to_target: number;
}

/** Expected distinct members over K: 1 − (1 − 1/K)^N. */
export function idealRecovery(draws: number, members: number): number {
  check(draws, members);
  return 1 - (1 - 1 / members) ** draws;
}

/** Expected distinct members over N. */
export function idealUniqueness(draws: number, members: number): number {
  return (idealRecovery(draws, members) * members) / draws;
}

/**
 * Expected ℓ1 distance between the draws' shares and 1/K. The counts are Binomial(N, 1/K) each, so it is
 * K·E|X/N − 1/K|, summed over the values of X.
 */
export function idealL1(draws: number, members: number): number {
  check(draws, members);
  if (members === 1) return 0;
  const p = 1 / members;
  let deviation = 0;
  for (let x = 0; x <= draws; x++) {
    const log = logChoose(draws, x) + x * Math.log(p) + (draws - x) * Math.log1p(-p);
    deviation += Math.exp(log) * Math.abs(x / draws - p);
  }
  return members * deviation;
}

/**
 * Expected share of the commonest member: E[max count] / N, with E[max] = Σ_{m ≥ 0} P(max > m).
 *
 * Exact. With independent Poisson(N/K) counts conditioned on their sum, P(max ≤ m) is the coefficient of z^N in
 * (Σ_{j ≤ m} e^{−λ} λ^j z^j / j!)^K, λ = N/K, divided by P(Poisson(N) = N).
 */
export function idealTopOutcomeShare(draws: number, members: number): number {
  check(draws, members);
  const rate = draws / members;
  const poisson = (mean: number, j: number): number => Math.exp(j * Math.log(mean) - mean - logFactorial(j));
  const sumIsN = poisson(draws, draws);
  let expectedMax = 0;
  for (let m = 0; m < draws; m++) {
    const atMostM = Float64Array.from({ length: draws + 1 }, (_, j) => (j <= m ? poisson(rate, j) : 0));
    const within = power(atMostM, members)[draws]! / sumIsN;
    expectedMax += 1 - within;
    if (m >= rate && 1 - within < 1e-14) break;
  }
  return expectedMax / draws;
}

/** @param draws N ≥ 1 @param members K ≥ 1 */
export function idealSummary(draws: number, members: number): IdealSummary {
  return {
    validity: 1,
    uniqueness: idealUniqueness(draws, members),
    recovery: idealRecovery(draws, members),
    top_outcome_share: idealTopOutcomeShare(draws, members),
    l1_to_target: idealL1(draws, members),
  };
}

/** Polynomial to the power n by squaring, cut off after its length. */
function power(polynomial: Float64Array, n: number): Float64Array {
  let result: Float64Array | null = null;
  let square = polynomial;
  for (let left = n; left > 0; left = Math.floor(left / 2)) {
    if (left % 2 === 1) result = result === null ? square : product(result, square);
    if (left > 1) square = product(square, square);
  }
  return result!;
}

function product(a: Float64Array, b: Float64Array): Float64Array {
  const out = new Float64Array(a.length);
  for (let i = 0; i < a.length; i++) {
    if (a[i] === 0) continue;
    for (let j = 0; i + j < a.length; j++) out[i + j]! += a[i]! * b[j]!;
  }
  return out;
}

const logFactorials: number[] = [0];

function logFactorial(n: number): number {
  for (let i = logFactorials.length; i <= n; i++) logFactorials.push(logFactorials[i - 1]! + Math.log(i));
  return logFactorials[n]!;
}

function logChoose(n: number, k: number): number {
  return logFactorial(n) - logFactorial(k) - logFactorial(n - k);
}

function check(draws: number, members: number): void {
  for (const [name, value] of Object.entries({ draws, members })) {
    if (!Number.isSafeInteger(value) || value < 1) {
      throw new RangeError(`${name} must be an integer of at least 1, not ${value}.`);
    }
  }
}
