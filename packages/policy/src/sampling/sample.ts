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

/**
 * Log-probabilities of a prompt's own tokens, in nats, each given those before it: what OpenAI's API calls echo.
 *
 * @returns one for each token; null for the first, which nothing comes before
 */
export async function promptLogProbabilities(
  policy: Policy,
  prompt: readonly number[],
  temperature = 1,
): Promise<(number | null)[]> {
  const [first, ...rest] = prompt;
  if (first === undefined) throw new RangeError('a prompt has no tokens');
  if (rest.length === 0) return [null];
  return [null, ...(await policy.logProbabilities([{ prompt: [first], completion: rest }], temperature))];
}
