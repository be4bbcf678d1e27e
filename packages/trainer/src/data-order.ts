import { seededPermutation } from '@polymode/policy';

/**
 * Rows for a step: the data is read in an endless row of epochs, each a permutation of its own, and step k takes the
 * k-th batch. A pure function, so that the data cursor is the step number and nothing else.
 *
 * @param step number of the step, from 1
 */
export function rowsOfStep(seed: number, rowCount: number, batchSize: number, step: number): number[] {
  const permutations = new Map<number, readonly number[]>();
  return Array.from({ length: batchSize }, (_, i) => {
    const at = (step - 1) * batchSize + i;
    const epoch = Math.floor(at / rowCount);
    let order = permutations.get(epoch);
    if (order === undefined) {
      order = seededPermutation(seed, epoch, rowCount);
      permutations.set(epoch, order);
    }
    return order[at % rowCount]!;
  });
}
