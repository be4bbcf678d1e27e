import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Engine } from '@polymode/autodiff';
import { Policy, readModel } from '@polymode/policy';
import { findBaseModel } from '@polymode/policy/registry';
import { makeSyntheticModel } from '../../../packages/trainer/bench/synthetic-model.mjs';

/**
 * Runs work on a policy of its own: the model that ships, or one of SmolLM2-135M's width with so many layers and random weights.
 *
 * @param layers as an option says them; undefined: the model that ships
 */
export async function withPolicy({ layers, threads }, work) {
  const dir = await mkdtemp(join(tmpdir(), 'polymode-bench-'));
  const engine = new Engine({ threads });
  try {
    let folder = findBaseModel('polymode-tiny').path;
    if (layers !== undefined) {
      folder = join(dir, 'model');
      await makeSyntheticModel(folder, Number(layers));
    }
    const { config, weights } = await readModel(folder);
    const bytes = Object.values(weights).reduce((sum, { data }) => sum + data.byteLength, 0);
    const policy = new Policy(config, engine, { paddingToken: 0 });
    await policy.moveWeights(weights);
    await work({ policy, config, bytes });
  } finally {
    await engine.close();
    await rm(dir, { recursive: true, force: true });
  }
}
