import { readFile } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { Engine } from '@polymode/autodiff';
import { loadTokenizer, readModelFolder, readSafetensors, type Tokenizer, type Weights } from '@polymode/policy';
import { findBaseModel } from '@polymode/policy/registry';
import type { LearnerHyperparameters, StepReport, SupervisedRow } from '@polymode/trainer';
import { afterEach, describe, expect, it } from 'vitest';
import { encodePreference, encodeSupervised } from '../dist/conversations.js';
import type { JobParts } from '../dist/job-trainer.js';
import { PreferenceTrainer } from '../dist/preference-trainer.js';
import { encodeRows } from '../dist/prompts.js';
import { SupervisedTrainer } from '../dist/supervised-trainer.js';

/** Values that PyTorch computed in float64; fixtures/make_methods.py describes them. */
interface Figures {
  readonly loss: number;
  readonly gradient_norm: number;
  readonly accuracy: number;
  readonly tokens: number;
  readonly margin: number;
  readonly chosen: number;
  readonly rejected: number;
}
type Turn = [role: 'user' | 'assistant', tokens: number[], learned?: boolean];
interface Fixture {
  readonly learning_rate: number;
  readonly beta: number;
  readonly conversations: Turn[][];
  readonly validation: Turn[][];
  readonly pairs: [Turn[], number[], number[]][];
  readonly validation_pairs: [Turn[], number[], number[]][];
  readonly supervised: { readonly steps: Figures[]; readonly validation: Figures };
  readonly dpo: { readonly steps: Figures[]; readonly validation: Figures };
}

const path = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const values: Fixture = JSON.parse(await readFile(path('fixtures/methods.json'), 'utf8'));
const expected = readSafetensors(await readFile(path('fixtures/methods.safetensors')));
const MODEL = path('../../policy/test/fixtures/updates-tied');
const CONTEXT = 64;

const [USER, ASSISTANT, END] = [3, 4, 2];
const numbers = (text: unknown): number[] => (text === '' ? [] : String(text).split(' ').map(Number));
/** The template of the fixture, over texts that are numbers of tokens. */
const tokenizer: Tokenizer = {
  vocabularySize: 32,
  paddingToken: 0,
  stopTokens: [END],
  encode: numbers,
  decode: (tokens) => tokens.join(' '),
  tokenBytes: (token) => new TextEncoder().encode(String(token)),
  tokenName: (token) => String(token),
  encodeChat: (messages, { generate = true } = {}) => [
    ...messages.flatMap((m) => [m.role === 'user' ? USER : ASSISTANT, ...numbers(m.content), END]),
    ...(generate ? [ASSISTANT] : []),
  ],
};
const message = ([role, tokens, learned]: Turn) => ({
  role,
  content: tokens.join(' '),
  ...(role === 'assistant' && learned === false ? { weight: 0 } : {}),
});
const answer = (tokens: number[]) => [{ role: 'assistant', content: tokens.join(' ') }];

const engines: Engine[] = [];
afterEach(async () => {
  await Promise.all(engines.splice(0).map((e) => e.close()));
});
async function parts(): Promise<JobParts & { weights: Weights }> {
  const engine = new Engine({ threads: 2 });
  engines.push(engine);
  const model = await readModelFolder(MODEL);
  return { model, tokenizer, engine, weights: model.weights };
}

function hyperparameters(batchSize: number): LearnerHyperparameters {
  return {
    batch_size: batchSize, // all rows, so that their order does not matter
    trainable: 'full',
    lora: { rank: 4, alpha: 8, rslora: false, target_modules: 'all-linear' },
    learning_rate: values.learning_rate,
    lr_schedule: 'constant',
    warmup_steps: 0,
    optimizer: { weight_decay: 0, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, max_grad_norm: 1 },
    max_steps: 3,
    eval_interval: 3,
    memory_budget_mb: null,
  };
}

const supervisedJob = (overrides: Partial<LearnerHyperparameters> = {}) => ({
  method: 'supervised' as const,
  model: { path: MODEL, name: 'tied' },
  trainRows: values.conversations.map((turns) => ({ messages: turns.map(message) })),
  validationRows: values.validation.map((turns) => ({ messages: turns.map(message) })),
  hyperparameters: { ...hyperparameters(values.conversations.length), ...overrides },
  seed: 1,
});

const rowOf = ([turns, preferred, rejected]: Fixture['pairs'][number]) => ({
  input: { messages: turns.map(message) },
  preferred_output: answer(preferred),
  non_preferred_output: answer(rejected),
});
const preferenceJob = (overrides: Partial<LearnerHyperparameters> = {}) => ({
  method: 'dpo' as const,
  model: { path: MODEL, name: 'tied' },
  trainRows: values.pairs.map(rowOf),
  validationRows: values.validation_pairs.map(rowOf),
  hyperparameters: { ...hyperparameters(values.pairs.length), beta: values.beta, ...overrides },
  seed: 1,
});

async function run(trainer: SupervisedTrainer | PreferenceTrainer, weights: Weights): Promise<StepReport[]> {
  await trainer.restore(weights);
  const reports: StepReport[] = [];
  while (trainer.step < trainer.totalSteps) reports.push(await trainer.runStep());
  return reports;
}

/** Of the learning rate, as references.test.ts explains it; gradients there are small in few places. */
const WEIGHT_TOLERANCE = 2e-2;
async function expectWeights(trainer: SupervisedTrainer | PreferenceTrainer, method: string): Promise<void> {
  const file = trainer.snapshot().find((f) => f.path === 'state/trained.safetensors')!;
  for (const [name, { data }] of Object.entries(readSafetensors(await buffer(file.chunks())))) {
    const reference = expected[`${method}/${name}`]!.data;
    const worst = Math.max(...data.map((v, i) => Math.abs(v - reference[i]!)));
    expect(worst / values.learning_rate, name).toBeLessThan(WEIGHT_TOLERANCE);
  }
}

describe('supervised fine-tuning against PyTorch', () => {
  it('makes its three updates, and validates', async () => {
    const { weights, ...own } = await parts();
    const trainer = new SupervisedTrainer(supervisedJob(), own);
    const reports = await run(trainer, weights);
    for (const [i, { metrics }] of reports.entries()) {
      const figures = values.supervised.steps[i]!;
      expect(metrics.train_loss).toBeCloseTo(figures.loss, 5);
      expect(metrics.grad_norm! / figures.gradient_norm).toBeCloseTo(1, 5);
      expect(metrics.train_mean_token_accuracy).toBeCloseTo(figures.accuracy, 9);
    }
    expect(trainer.trainedTokens).toBe(3 * values.supervised.steps[0]!.tokens);
    const { validation } = values.supervised;
    expect(reports.map((r) => r.validation !== undefined)).toEqual([false, false, true]);
    expect(reports[2]!.validation!.metrics.loss).toBeCloseTo(validation.loss, 4);
    expect(reports[2]!.validation!.metrics.mean_token_accuracy).toBeCloseTo(validation.accuracy, 9);
    await expectWeights(trainer, 'supervised');
  });
});

describe('preference fine-tuning against PyTorch', () => {
  it('makes its three updates, and validates', async () => {
    const { weights, ...own } = await parts();
    const trainer = new PreferenceTrainer(preferenceJob(), own);
    const reports = await run(trainer, weights);
    for (const [i, { metrics }] of reports.entries()) {
      const figures = values.dpo.steps[i]!;
      expect(metrics.train_loss).toBeCloseTo(figures.loss, 5);
      expect(metrics.grad_norm! / figures.gradient_norm).toBeCloseTo(1, 3);
      expect(metrics.reward_margin).toBeCloseTo(figures.margin, 4);
      expect(metrics.chosen_reward).toBeCloseTo(figures.chosen, 4);
      expect(metrics.rejected_reward).toBeCloseTo(figures.rejected, 4);
      // At the start all margins are rounding errors about zero.
      if (i > 0) expect(metrics.reward_accuracy).toBe(figures.accuracy);
    }
    const { validation } = values.dpo;
    expect(reports[2]!.validation!.metrics).toMatchObject({ reward_accuracy: validation.accuracy });
    expect(reports[2]!.validation!.metrics.loss).toBeCloseTo(validation.loss, 4);
    await expectWeights(trainer, 'dpo');
  });

  it('begins at the base model with an adapter, and learns the preference', async () => {
    const { weights, ...own } = await parts();
    const trainer = new PreferenceTrainer(preferenceJob({ trainable: 'lora', learning_rate: 0.05 }), own);
    const reports = await run(trainer, weights);
    expect(reports[0]!.metrics.train_loss).toBeCloseTo(Math.log(2), 6);
    expect(reports[2]!.metrics.train_loss).toBeLessThan(0.4);
  });
});

describe('rows in tokens', () => {
  const encode = (row: SupervisedRow, context = CONTEXT) => encodeSupervised(tokenizer, row, context);
  const conversation: SupervisedRow = { messages: values.conversations[1]!.map(message) };

  it('learn every answer to its end and nothing else, in one sequence where the template only appends', () => {
    const { sequences, truncated } = encode(conversation);
    expect(truncated).toBe(false);
    expect(sequences).toEqual([
      {
        prompt: [USER, 5, END, ASSISTANT],
        completion: [10, 11, 12, 13, END, USER, 6, 6, END, ASSISTANT, 14, END],
        learned: [true, true, true, true, true, false, false, false, false, false, true, true],
      },
    ]);
  });

  it('are a sequence an answer where the template rewrites what came before', () => {
    const forgetful: Tokenizer = {
      ...tokenizer,
      // Earlier answers lose their first token, as reasoning does in templates of some models.
      encodeChat: (messages, options) =>
        tokenizer.encodeChat(
          messages.map((m, i) =>
            m.role === 'assistant' && i < messages.length - 1
              ? { ...m, content: numbers(m.content).slice(1).join(' ') }
              : m,
          ),
          options,
        ),
    };
    expect(encodeSupervised(forgetful, conversation, CONTEXT).sequences.map((s) => [s.prompt, s.completion])).toEqual([
      [
        [USER, 5, END, ASSISTANT],
        [10, 11, 12, 13, END],
      ],
      [
        [USER, 5, END, ASSISTANT, 11, 12, 13, END, USER, 6, 6, END, ASSISTANT],
        [14, END],
      ],
    ]);
  });

  it('end with the token that ends answers, though the template writes more or none', () => {
    const withMore: Tokenizer = {
      ...tokenizer,
      encodeChat: (messages, options) => [
        ...tokenizer.encodeChat(messages, options),
        ...(options?.generate === false ? [30] : []),
      ],
    };
    const row = { messages: values.conversations[0]!.map(message) };
    expect(encodeSupervised(withMore, row, CONTEXT).sequences[0]!.completion).toEqual([8, 9, END]);
    expect(encode({ prompt: '5 6', completion: '7' }).sequences).toEqual([
      { prompt: [5, 6], completion: [7, END], learned: [true, true] },
    ]);
    expect(encode({ prompt: '', completion: '7' }).sequences[0]!.prompt).toEqual([END]);
  });

  it('learn calls of functions as calls of tools, of which the prompt tells', async () => {
    const tiny = await loadTokenizer(findBaseModel('polymode-tiny')!.dir);
    const add = { name: 'add', parameters: { type: 'object' } };
    const call = { name: 'add', arguments: '{"a": 1}' };
    const user = { role: 'user', content: 'How much?' };
    const end = { role: 'assistant', content: 'Three.' };
    const before: SupervisedRow = {
      messages: [
        user,
        { role: 'assistant', content: null, function_call: call },
        { role: 'function', name: 'add', content: '3' },
        end,
      ],
      functions: [add],
    };
    const tool_calls = [{ id: 'c', type: 'function', function: call }];
    const now: SupervisedRow = {
      messages: [
        user,
        { role: 'assistant', content: null, tool_calls },
        { role: 'tool', tool_call_id: 'c', content: '3' },
        end,
      ],
      tools: [{ type: 'function', function: add }],
    };
    const context = tiny.encodeChat(now.messages, { tools: now.tools! }).length + 20;
    const found = encodeSupervised(tiny, before, context);
    expect(found).toEqual(encodeSupervised(tiny, now, context));
    const { prompt, completion, learned } = found.sequences[0]!;
    expect(tiny.decode(prompt)).toContain(JSON.stringify({ type: 'function', function: add }));
    expect(tiny.decode(completion.filter((_, i) => learned[i]))).toBe(
      '<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>Three.',
    );

    // Also where the template writes a finished answer otherwise than it asks for one.
    const otherwise: Tokenizer = {
      ...tiny,
      encodeChat: (messages, options) => [options?.generate === false ? 1 : 2, ...tiny.encodeChat(messages, options)],
    };
    const [called] = encodeSupervised(
      otherwise,
      { ...before, messages: before.messages.slice(0, 2) },
      context,
    ).sequences;
    expect(tiny.decode(called!.completion)).toBe('<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>');
    // Prompts of reinforcement as well.
    const [asked] = encodeRows(tiny, [{ messages: [user], tools: now.tools! }], context, 'training_file');
    expect(asked!.tokens).toEqual(prompt);
  });

  it('are cut to the context, and go when nothing is left to learn', () => {
    const cut = encode(conversation, 8);
    expect(cut).toMatchObject({ truncated: true });
    expect(cut.sequences[0]!.completion).toEqual([10, 11, 12, 13, END]);
    expect(encode(conversation, 3)).toEqual({ sequences: [], truncated: true });
    const [first] = values.pairs;
    expect(encodePreference(tokenizer, rowOf(first!), 3)).toEqual({ pair: null, truncated: true });
  });

  it('that cannot all be learned are told of', async () => {
    const { weights: _, ...own } = await parts();
    const job = supervisedJob();
    const silent = { messages: [{ role: 'user', content: '5' }] };
    const long = { messages: [...values.conversations[0]!.map(message).slice(0, 1), ...answer(Array(90).fill(8))] };
    const trainer = new SupervisedTrainer({ ...job, trainRows: [...job.trainRows, silent, long] }, own);
    expect(trainer.warnings).toEqual([
      "1 example(s) of the training file are cut to the model's 64 tokens",
      '1 example(s) of the training file have no token to learn and are left out',
    ]);
    expect(() => new SupervisedTrainer({ ...job, trainRows: [silent] }, own)).toThrow(
      'No example has a token to learn',
    );
  });
});
