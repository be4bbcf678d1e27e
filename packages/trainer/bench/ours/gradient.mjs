// GradientStep on the clipped surrogate of one group: the gradient, and AdamW on what is trained. With --repeated every
// completion has a prompt of its own, so that nothing is shared: as many rows as a batch that repeats its prompt.
import { normals } from '@polymode/policy';
import { GradientStep } from '../../dist/gradient-step.js';
import { surrogateUpdate } from '../../dist/surrogate-update.js';
import { loadPolicy, readArguments, run } from './common.mjs';

const options = await readArguments({ full: { type: 'boolean' }, repeated: { type: 'boolean' } });
const { prompts, group, completionTokens, repeated, full } = options;
const { policy, engine } = await loadPolicy(options);
const gradientStep = new GradientStep(policy);
await gradientStep.allocate();

const { vocabSize } = policy.config;
const random = (row) => normals({ seed: 1, stream: 9, step: 0, row, count: completionTokens });
const completions = Array.from({ length: group }, (_, row) =>
  Array.from(random(row), (x) => 100 + (Math.floor(Math.abs(x) * 1e6) % (vocabSize - 100))),
);
// Near what an untrained model gives, so that ratios are of every size.
const old = completions.map((_, row) => random(group + row).map((x) => 0.2 * x - Math.log(vocabSize)));

function promptOf(turn, row) {
  const { tokens } = prompts[turn % prompts.length];
  return repeated ? tokens.with(0, 100 + row) : tokens;
}

async function gradient(turn) {
  const sequences = completions.map((completion, row) => ({
    prompt: promptOf(turn, row),
    completion,
    advantage: (3 * row) / (group - 1) - 1.5,
    oldLogProbabilities: old[row],
  }));
  await surrogateUpdate(gradientStep, sequences, turn + 1, {
    learningRate: 1e-6,
    clipEpsilon: 0.2,
    klCoefficient: 0,
    temperature: 1,
  });
}

await run(options, gradient, {
  figure: repeated ? 'gradient_repeated' : 'gradient_shared',
  trained: full ? 'full' : 'lora',
  samples_per_round: group,
});
await engine.close();
