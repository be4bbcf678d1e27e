/**
 * Tries everything on a pretrained model: `node real-model.mjs MODEL [--greedy FILE] [--out FOLDER] [--steps 24]`.
 *
 * MODEL is a GGUF file or a Hugging Face folder of an instruct model. It answers a few questions; where FILE has greedy
 * texts of `transformers` for the same weights (greedy.py makes it), ours are compared token by token; a job of IPS-GRPO
 * teaches an adapter to answer with one digit; and the adapter is written in every format to FOLDER, with logits that
 * check_exports.py compares. The last line is JSON.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { Engine } from '@polymode/autodiff';
import { Policy, readModel, tokenizerOf } from '@polymode/policy';
import { compileGrader, compileOutcome } from '@polymode/verifiers';
import { createTrainer } from '../../dist/index.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    greedy: { type: 'string' },
    out: { type: 'string', default: '.polymode/real-model' },
    steps: { type: 'string', default: '24' },
    threads: { type: 'string', default: String(availableParallelism()) },
  },
});
const [path] = positionals;
if (path === undefined) throw new Error('usage: real-model.mjs MODEL [--greedy FILE] [--out FOLDER] [--steps 24]');
const threads = Number(values.threads);
const started = performance.now();
const say = (text) => console.log(`[${((performance.now() - started) / 1000).toFixed(0).padStart(4)} s] ${text}`);

const result = { model: basename(path), threads };
await answer();
await train();
console.log(JSON.stringify(result));

/** Greedy answers through the sampler, beside those of transformers where there are some. */
async function answer() {
  const { config, weights, otherFiles } = await readModel(path);
  const tokenizer = await tokenizerOf(otherFiles);
  const engine = new Engine({ threads });
  const policy = new Policy(config, engine, { paddingToken: tokenizer.paddingToken });
  await policy.moveWeights(weights);
  const expected = values.greedy === undefined ? null : JSON.parse(await readFile(values.greedy, 'utf8')).prompts;
  const conversations =
    expected?.map((p) => p.messages) ??
    ['What is the capital of France?', 'Name three colours.'].map((content) => [{ role: 'user', content }]);
  const prompts = conversations.map((messages) => tokenizer.encodeChat(messages));
  const groups = await policy.sample(prompts, 1, () => new Float32Array(64).fill(0.5), {
    maxTokens: 64,
    temperature: 0,
    stopTokens: tokenizer.stopTokens,
  });
  result.greedy = { compared: 0, equal: 0 };
  for (const [i, [completion]] of groups.entries()) {
    say(
      `${conversations[i].at(-1).content}\n          ${tokenizer.decode(completion.tokens).replaceAll('\n', '\n          ')}`,
    );
    if (expected === null) continue;
    result.greedy.compared++;
    const samePrompt = prompts[i].join() === expected[i].prompt_ids.join();
    const same = completion.tokens.join() === expected[i].tokens.join();
    if (samePrompt && same) result.greedy.equal++;
    else
      say(
        `differs from transformers: the prompt is ${samePrompt ? 'the same' : 'another'}, the text ${expected[i].text}`,
      );
  }
  await engine.close();
}

/** A job that teaches the model to pick a digit, and its checkpoint in every format. */
async function train() {
  const wordings = [
    'Pick a number from 1 to 9. Answer with the digit only.',
    'Choose one digit between 1 and 9 and write nothing else.',
    'Give me a random digit from 1 to 9, just the digit.',
    'Say any number from 1 to 9 as a single digit.',
  ];
  const grader = compileGrader({
    type: 'string_check',
    name: 'one digit',
    operation: 'like',
    input: '{{item.digits}}',
    reference: ' {{sample.output_text}} ',
  });
  const trainer = await createTrainer({
    method: 'reinforcement',
    model: { path, name: basename(path, '.gguf') },
    trainRows: wordings.map((content) => ({ messages: [{ role: 'user', content }], digits: ' 1 2 3 4 5 6 7 8 9 ' })),
    validationRows: [],
    grader,
    grading: { outcome: compileOutcome({ type: 'text' }, grader), maxErrorShare: 0.1, timeoutMs: 1000 },
    hyperparameters: {
      algorithm: 'ips-grpo',
      batch_size: 4,
      group_size: 16,
      max_steps: Number(values.steps),
      trainable: 'lora',
      lora: { rank: 16, alpha: 32, rslora: false, target_modules: 'all-linear' },
      learning_rate: 3e-4,
      lr_schedule: 'constant',
      warmup_steps: 2,
      optimizer: { weight_decay: 0, beta1: 0.9, beta2: 0.999, epsilon: 1e-5, max_grad_norm: 1 },
      temperature: 1,
      top_k: 0,
      top_p: 1,
      min_p: 0,
      repetition_penalty: 1,
      presence_penalty: 0,
      stop: [],
      max_completion_tokens: 12,
      kl_coefficient: 0,
      clip_epsilon: 0.2,
      ips: { exponent: 1, epsilon: 1 / 16 },
      eval_interval: Number(values.steps),
      eval_samples: 1,
      memory_budget_mb: null,
    },
    seed: 1,
    threads,
  });
  const rewards = [];
  while (trainer.step < trainer.totalSteps) {
    const { metrics, groups, timing } = await trainer.runStep();
    rewards.push(metrics.reward_mean);
    const right = groups.flatMap((g) => g.completions).filter((c) => c.reward === 1);
    const texts = [...new Set(right.map((c) => c.text))].sort().join(' ');
    say(
      `step ${trainer.step}: reward ${metrics.reward_mean.toFixed(2)}, ${timing.full_iteration.toFixed(1)} s, right: ${texts}`,
    );
  }
  const mean = (x) => x.reduce((a, b) => a + b, 0) / x.length;
  const edge = Math.max(1, Math.floor(rewards.length / 6));
  result.reward = { first: mean(rewards.slice(0, edge)), last: mean(rewards.slice(-edge)) };
  await mkdir(values.out, { recursive: true });
  result.exports = {};
  for (const format of ['adapter', 'merged', 'onnx', 'gguf']) {
    const { largestDifference, spread } = await trainer.export(values.out, { format, ggufType: 'F16' });
    result.exports[format] = { largest_difference: largestDifference, spread };
    say(
      `${format}: logits differ by ${largestDifference.toExponential(1)} at most, on a spread of ${spread.toFixed(1)}`,
    );
  }
  const { tokens, logits } = await trainer.exportedLogits();
  await writeFile(join(values.out, 'logits.json'), JSON.stringify({ tokens, base: path, logits: Array.from(logits) }));
  await trainer.close();
}
