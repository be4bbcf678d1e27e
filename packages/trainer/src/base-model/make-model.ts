/**
 * Makes the base model that ships with the project: `npm run base-model -w @polymode/trainer [-- --steps 4000 --out DIR]`.
 *
 * A Llama of 0.35M parameters learns, supervised and on the same engine that later trains it, to answer two tasks in
 * the right format, with right and wrong answers alike. The tokenizer is already in the folder; this adds
 * `config.json` and `model.safetensors`. Equal options give equal bytes.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Engine } from '@polymode/autodiff';
import {
  loadTokenizer,
  normals,
  Policy,
  parameterShapes,
  parseModelConfig,
  uniforms,
  type Weights,
  writeSafetensors,
} from '@polymode/policy';
import { GradientStep } from '../gradient-step.js';
import { likelihoodLoss } from '../likelihood-loss.js';
import type { TrainingSequence } from '../token-loss.js';
import { booleanExample, type Example, voxelExample } from './corpus.js';
import { SHIPPED_MODEL } from './shipped-model.js';

const { values } = parseArgs({
  options: {
    out: { type: 'string', default: SHIPPED_MODEL },
    steps: { type: 'string', default: '4000' },
    seed: { type: 'string', default: '1' },
    threads: { type: 'string', default: '1' },
  },
});
/** Which random numbers are whose. */
const STREAMS = { weights: 0, corpus: 1 } as const;

const [steps, seed] = [Number(values.steps), Number(values.seed)];

/** Sequences a step; three in four are voxel examples, the task of the demo. */
const BATCH = 64;
const VOXEL_SHARE = 0.75;
const PEAK_LEARNING_RATE = 2e-3;
const WARM_UP = 50;

const tokenizer = await loadTokenizer(values.out);
const configJson = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  vocab_size: tokenizer.vocabularySize,
  hidden_size: 96,
  intermediate_size: 256,
  num_hidden_layers: 3,
  num_attention_heads: 6,
  num_key_value_heads: 3,
  head_dim: 16,
  hidden_act: 'silu',
  max_position_embeddings: 1024,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  attention_bias: false,
  mlp_bias: false,
  tie_word_embeddings: true,
  bos_token_id: tokenizer.stopTokens[0],
  eos_token_id: tokenizer.stopTokens[0],
  torch_dtype: 'float32',
};
const config = parseModelConfig(configJson);
const engine = new Engine({ threads: Number(values.threads) });
const policy = new Policy(config, engine, { prefix: 'policy/', paddingToken: tokenizer.paddingToken });
const gradientStep = new GradientStep(policy);
await policy.setWeights(initialWeights());
await gradientStep.allocate();

const started = performance.now();
for (let step = 1; step <= steps; step++) {
  const batch = batchOf(step);
  const report = await gradientStep.run(likelihoodLoss, batch, {}, step, learningRate(step), 1);
  if (step % 100 === 0 || step === 1) {
    const seconds = ((performance.now() - started) / 1000).toFixed(0);
    console.log(`step ${step}/${steps}, loss ${report.loss.toFixed(4)}, ${seconds} s`);
  }
}
await writeFile(join(values.out, 'config.json'), `${JSON.stringify(configJson, null, 2)}\n`);
await writeFile(join(values.out, 'model.safetensors'), writeSafetensors(await policy.weights()));
await engine.close();

/** Normal with deviation 0.03; what writes into the residual stream is scaled down by its depth, as in GPT-2. */
function initialWeights(): Weights {
  return Object.fromEntries(
    Object.entries(parameterShapes(config)).map(([name, shape], index) => {
      const count = shape.reduce((a, b) => a * b, 1);
      if (shape.length === 1) return [name, { shape, data: new Float32Array(count).fill(1) }];
      const residual = name.includes('o_proj') || name.includes('down_proj');
      const deviation = residual ? 0.03 / Math.sqrt(2 * config.numHiddenLayers) : 0.03;
      const data = normals({ seed, stream: STREAMS.weights, step: 0, row: index, count });
      return [name, { shape, data: data.map((v) => v * deviation) }];
    }),
  );
}

function batchOf(step: number): TrainingSequence[] {
  const pairs = Array.from({ length: BATCH }, (_, row) => {
    const random = source(step, row);
    return tokenize(random() < VOXEL_SHARE ? voxelExample(random) : booleanExample(random));
  });
  const tokens = pairs.reduce((n, p) => n + p.completion.length, 0);
  return pairs.map((p) => ({ ...p, perToken: { weights: new Float32Array(p.completion.length).fill(1 / tokens) } }));
}

function tokenize({ messages, answer }: Example): { prompt: number[]; completion: number[] } {
  return {
    prompt: tokenizer.encodeChat(messages),
    completion: [...tokenizer.encode(answer), tokenizer.stopTokens[0]!],
  };
}

/** Rises linearly, then falls along a cosine to a tenth. */
function learningRate(step: number): number {
  if (step < WARM_UP) return (PEAK_LEARNING_RATE * step) / WARM_UP;
  const done = (step - WARM_UP) / Math.max(1, steps - WARM_UP);
  return PEAK_LEARNING_RATE * (0.1 + 0.45 * (1 + Math.cos(Math.PI * done)));
}

/** Random numbers of one example: enough for the longest, drawn once. */
function source(step: number, row: number): () => number {
  const drawn = uniforms({ seed, stream: STREAMS.corpus, step, row, count: 64 });
  let next = 0;
  return () => drawn[next++ % drawn.length]!;
}
