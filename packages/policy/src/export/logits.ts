import { compileGraph, Engine, int32 } from '@polymode/autodiff';
import { positionRows, roundedLength } from '../batch.js';
import type { ModelConfig } from '../config.js';
import { Policy, type Weights } from '../policy.js';
import { sequenceHidden } from '../transformer/hidden.js';
import { sequenceInputs } from '../transformer/inputs.js';
import { vocabularyLogits } from '../transformer/statistics.js';
import type { ExpectedLogits } from './format.js';

/** Logits at every token of a prompt. @returns [T, V] */
export async function promptLogits(policy: Policy, tokens: readonly number[]): Promise<Float32Array> {
  const { config, engine } = policy;
  const length = roundedLength(tokens.length);
  const inputs = sequenceInputs(length);
  const parameters = policy.parameterInputs();
  const { hidden } = sequenceHidden(config, parameters, inputs.tokens, inputs.positions);
  const session = await engine.compile(
    compileGraph({ logits: vocabularyLogits(config, parameters, hidden) }, engine.profile),
  );
  try {
    const padded = Int32Array.from({ length }, (_, i) => tokens[i] ?? policy.paddingToken);
    const out = await session.run(
      { ...policy.weightFeeds(), tokens: int32(padded, [1, length]), positions: positionRows(1, length) },
      { logits: 'return' },
    );
    return (out.logits!.data as Float32Array).slice(0, tokens.length * config.vocabSize);
  } finally {
    await session.release();
  }
}

/** The same of weights that were read from somewhere, on an engine of their own. They move into it. */
export async function logitsOfWeights(
  config: ModelConfig,
  weights: Weights,
  paddingToken: number,
  { tokens, threads }: ExpectedLogits,
): Promise<Float32Array> {
  const engine = new Engine({ threads });
  try {
    const policy = new Policy(config, engine, { paddingToken });
    await policy.moveWeights(weights);
    return await promptLogits(policy, tokens);
  } finally {
    await engine.close();
  }
}
