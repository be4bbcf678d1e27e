import type { Policy } from '../policy.js';
import type { Completion, SamplingOptions, UniformSource } from './options.js';
import { RunningBatch } from './running-batch.js';

/**
 * Draws `groupSize` completions of each prompt.
 *
 * @returns completions[prompt][sample]
 */
export async function sampleGroups(
  policy: Policy,
  prompts: readonly (readonly number[])[],
  groupSize: number,
  uniforms: UniformSource,
  options: SamplingOptions | ((prompt: number, sample: number) => SamplingOptions),
): Promise<Completion[][]> {
  const batch = new RunningBatch(policy);
  try {
    const requests = prompts.map((prompt, p) =>
      batch.add({
        prompt,
        n: groupSize,
        random: (sample) => uniforms(p, sample),
        options: typeof options === 'function' ? (sample) => options(p, sample) : options,
      }),
    );
    return await Promise.all(requests.map((r) => r.completions));
  } finally {
    await batch.close();
  }
}
