import { describe, expect, it } from 'vitest';
import { changedHyperparameters } from './derived-hyperparameters.js';
import { ReinforcementHyperparameters, resolveHyperparameters } from './hyperparameters.js';

const data = { trainingRows: 50, modelParameters: 1_000_000 };
const resolve = (given: Record<string, unknown>) =>
  resolveHyperparameters(ReinforcementHyperparameters.parse(given), data);

describe('changedHyperparameters', () => {
  const changed = (before: Record<string, unknown>, changes: Record<string, unknown>, otherData = false) =>
    resolve(changedHyperparameters(resolve(before), changes, otherData));

  it('are as if the first request had been so', () => {
    for (const change of [
      { n_epochs: 5 },
      { batch_size: 2 },
      { max_steps: 40 },
      { learning_rate_multiplier: 3 },
      { compute_multiplier: 2 },
      { group_size: 4 },
      { temperature: 0.5, top_p: 0.9 },
    ]) {
      expect(changed({}, change)).toEqual(resolve(change));
    }
  });

  it('keep what was chosen before, and what is given now over what would be derived', () => {
    expect(changed({ kl_coefficient: 0.1 }, { group_size: 4 })).toMatchObject({ kl_coefficient: 0.1, group_size: 4 });
    expect(changed({}, { n_epochs: 5, max_steps: 7 })).toMatchObject({ n_epochs: 5, max_steps: 7 });
  });

  it('count the steps again on other data', () => {
    const before = resolve({ max_steps: 3 });
    expect(resolve(changedHyperparameters(before, {}, true)).max_steps).toBe(resolve({}).max_steps);
  });

  it('leave unknown names for the schema to refuse', () => {
    const given = changedHyperparameters(resolve({}), { grup_size: 4 });
    expect(ReinforcementHyperparameters.safeParse(given).success).toBe(false);
  });
});
