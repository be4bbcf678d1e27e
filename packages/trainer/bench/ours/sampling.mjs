// Policy.sample: one prompt, a group of completions of a fixed length, with the adapter that is being trained.
import { uniforms } from '@polymode/policy';
import { loadPolicy, readArguments, run } from './common.mjs';

const options = await readArguments({ full: { type: 'boolean' } });
const { prompts, group, completionTokens } = options;
const { policy, engine } = await loadPolicy(options);

async function sample(i) {
  const prompt = prompts[i % prompts.length].tokens;
  const random = (_, row) => uniforms({ seed: 1, stream: 0, step: i, row, count: completionTokens });
  const [completions] = await policy.sample([prompt], group, random, {
    maxTokens: completionTokens,
    temperature: 1,
    stopTokens: [],
  });
  const short = completions.find((c) => c.tokens.length !== completionTokens);
  if (completions.length !== group || short !== undefined)
    throw new Error('the sampler drew less than it was asked for');
}

await run(options, sample, { figure: 'sampling', tokens_per_round: group * completionTokens });
await engine.close();
