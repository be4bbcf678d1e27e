import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { readModelFolder, readSafetensors, type Weights } from '@polymode/policy';
import {
  createTrainer,
  GradersFailedError,
  type ReinforcementOptions,
  type SnapshotFile,
  type StepReport,
  type Trainer,
  TrainerInputError,
  type TrainerOptions,
} from '@polymode/trainer';
import { compileGrader, GraderRuntimeError } from '@polymode/verifiers';
import { afterEach, describe, expect, it, onTestFinished } from 'vitest';
import { smallJob } from './small-job.js';

const open: Trainer[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((t) => t.close()));
});

async function start(options: TrainerOptions): Promise<Trainer> {
  const trainer = await createTrainer(options);
  open.push(trainer);
  return trainer;
}

async function run(trainer: Trainer, untilStep: number): Promise<StepReport[]> {
  const reports: StepReport[] = [];
  while (trainer.step < untilStep) reports.push(await trainer.runStep());
  return reports;
}

const asMap = async (files: readonly SnapshotFile[]): Promise<Map<string, Uint8Array>> =>
  new Map(await Promise.all(files.map(async (f) => [f.path, await buffer(f.chunks())] as const)));
const digests = async (files: readonly SnapshotFile[]): Promise<Record<string, string>> =>
  Object.fromEntries(
    [...(await asMap(files))].map(([path, bytes]) => [path, createHash('sha256').update(bytes).digest('hex')]),
  );
/** What a step says, without the seconds it took. */
const repeatable = ({ timing: _, ...report }: StepReport): object => report;

const DECAYING = { weight_decay: 0.1, beta1: 0.8, beta2: 0.99, epsilon: 1e-6, max_grad_norm: 0.5 };

describe('a job', () => {
  it.each([
    ['plain', {}],
    ['with a reference', { kl_coefficient: 0.05 }],
    ['with filtered sampling', { top_p: 0.9, temperature: 0.8 }],
    ['with an adapter', { trainable: 'lora', kl_coefficient: 0.05 }],
    ['with a schedule and decay', { lr_schedule: 'cosine', warmup_steps: 2, optimizer: DECAYING }],
  ] satisfies [string, Parameters<typeof smallJob>[0]][])(
    '%s ends with the same bytes when it is stopped and resumed',
    async (_, settings) => {
      const options = { ...smallJob(settings), threads: 2 };
      const whole = await start(options);
      const reports = await run(whole, 6);
      const final = whole.snapshot();

      for (const stopAt of [1, 4]) {
        const first = await start(options);
        await run(first, stopAt);
        const resumed = await start({ ...options, resumeFrom: await asMap(first.snapshot()) });
        expect(resumed.step).toBe(stopAt);
        const rest = await run(resumed, 6);
        expect(rest.map(repeatable)).toEqual(reports.slice(stopAt).map(repeatable));
        expect(await digests(resumed.snapshot())).toEqual(await digests(final));
      }
    },
  );

  it('changes its weights by every step, and takes another course with another seed', async () => {
    const options = smallJob();
    const [a, b] = [await start(options), await start({ ...options, seed: 12 })];
    const before = (await asMap(a.snapshot())).get('state/trained.safetensors')!;
    await run(a, 2);
    await run(b, 2);
    const weights = [
      before,
      ...(await Promise.all([a, b].map(async (t) => (await asMap(t.snapshot())).get('state/trained.safetensors')!))),
    ];
    const [w0, wa, wb] = weights.map((bytes) => readSafetensors(bytes));
    for (const [name, { data }] of Object.entries(w0!)) {
      expect(
        data.some((v, i) => v !== wa![name]!.data[i]),
        name,
      ).toBe(true);
      expect(
        wb![name]!.data.some((v, i) => v !== wa![name]!.data[i]),
        name,
      ).toBe(true);
    }
  });

  it('validates when it is due, with random numbers that training does not use', async () => {
    const options = smallJob();
    const [withValidation, without] = [await start(options), await start({ ...options, validationRows: [] })];
    const reports = await run(withValidation, 6);
    expect(reports.filter((r) => r.validation !== undefined).map((r) => r.step)).toEqual([3, 6]);
    await run(without, 6);
    const weights = async (t: Trainer): Promise<string> => (await digests(t.snapshot()))['state/trained.safetensors']!;
    expect(await weights(withValidation)).toBe(await weights(without));
  });

  it('reports what it did in the terms of its groups', async () => {
    const trainer = await start(smallJob());
    const [report] = await run(trainer, 1);
    const { groups, metrics } = report!;
    expect(groups).toHaveLength(4);
    const all = groups.flatMap((g) => g.completions);
    expect(all).toHaveLength(24);
    const mean = all.reduce((s, c) => s + c.reward!, 0) / all.length;
    expect(metrics.reward_mean).toBeCloseTo(mean, 12);
    expect(metrics.frac_reward_zero_std).toBe(groups.filter((g) => !g.hasSpread).length / 4);
    for (const group of groups) {
      // Advantages of a group are centred; those of a group without spread are zero.
      expect(group.completions.reduce((s, c) => s + c.advantage, 0)).toBeCloseTo(0, 9);
      if (!group.hasSpread) expect(group.completions.every((c) => c.advantage === 0)).toBe(true);
    }
    const trained = groups.filter((g) => g.hasSpread).flatMap((g) => g.completions);
    expect(trainer.trainedTokens).toBe(trained.reduce((s, c) => s + c.tokens, 0));
    // The policy has not moved yet when the first loss is computed: every ratio is 1, so nothing is clipped, and the
    // advantage-weighted mean of ones is what the centred advantages leave by length.
    expect(metrics.clip_ratio_low).toBe(0);
    expect(metrics.clip_ratio_high).toBe(0);
    const expected = -trained.reduce((s, c) => s + c.tokens * c.advantage, 0) / trainer.trainedTokens;
    expect(metrics.loss).toBeCloseTo(expected, 5);
  });

  it('leaves the weights alone when no group has spread', async () => {
    const grader = compileGrader({
      type: 'string_check',
      name: 'always',
      operation: 'like',
      input: 'yes',
      reference: 'yes',
    });
    const trainer = await start({ ...smallJob({ algorithm: 'grpo', kl_coefficient: 0.1 }), grader });
    const before = await digests(trainer.snapshot());
    const [report] = await run(trainer, 1);
    expect(report!.metrics).toMatchObject({ reward_mean: 1, frac_reward_zero_std: 1, updated: 0 });
    const after = await digests(trainer.snapshot());
    expect(after['state/trained.safetensors']).toBe(before['state/trained.safetensors']);
    expect(after['state/optimizer.safetensors']).toBe(before['state/optimizer.safetensors']);
  });

  it('measures how far it has moved from its reference', async () => {
    const trainer = await start(smallJob({ kl_coefficient: 0.05, max_steps: 3 }));
    const reports = await run(trainer, 3);
    expect(reports[0]!.metrics.kl).toBeLessThan(1e-9);
    expect(reports[2]!.metrics.kl).toBeGreaterThan(1e-6);
  });
});

describe('an adapter', () => {
  const adapted = (overrides: Parameters<typeof smallJob>[0] = {}): TrainerOptions =>
    smallJob({ trainable: 'lora', learning_rate: 1e-2, kl_coefficient: 0.01, ...overrides });
  const trained = async (t: Trainer): Promise<Weights> =>
    readSafetensors((await asMap(t.snapshot())).get('state/trained.safetensors')!);

  it('starts as the base model, learns by all its parts, and is measured against the base', async () => {
    const trainer = await start(adapted());
    const base = (await readModelFolder(smallJob().model.path)).weights;
    const folder = await mkdtemp(join(tmpdir(), 'polymode-export-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    const report = await trainer.export(folder, { format: 'merged', ggufType: 'F16' });
    expect(report.largestDifference).toBe(0);
    const merged = (await readModelFolder(join(folder, 'merged'))).weights;
    for (const [name, { data }] of Object.entries(base)) expect(merged[name]!.data, name).toEqual(data);
    const before = await trained(trainer);
    const reports = await run(trainer, 3);
    const after = await trained(trainer);
    expect(Object.keys(after).length).toBeGreaterThan(0);
    for (const [name, { data }] of Object.entries(after)) expect(data, name).not.toEqual(before[name]!.data);
    expect(reports[0]!.metrics.kl).toBeLessThan(1e-9);
    expect(reports[2]!.metrics.kl).toBeGreaterThan(1e-6);
  });

  it('is put on the modules that are asked for', async () => {
    const lora = { rank: 2, alpha: 4, rslora: true, target_modules: ['q_proj', 'down_proj'] };
    const names = Object.keys(await trained(await start(adapted({ lora }))));
    expect(names.every((n) => n.includes('.q_proj.') || n.includes('.down_proj.'))).toBe(true);
    await expect(start(adapted({ lora: { ...lora, target_modules: ['wq'] } }))).rejects.toMatchObject({
      param: 'method.reinforcement.hyperparameters.lora.target_modules',
      message: expect.stringMatching(/no module of this model is named "wq".*q_proj/),
    });
  });
});

describe('a learning rate that breaks the policy', () => {
  /** Every other completion is right, whatever it says. */
  const alternating = (): ReinforcementOptions['grader'] => {
    const grader = compileGrader({ type: 'task', task: 'hypospace/voxel' });
    let calls = 0;
    return {
      ...grader,
      config: grader.config,
      name: grader.name,
      type: grader.type,
      checkItem: (item) => grader.checkItem(item),
      grade: async () => ({ reward: calls++ % 2, outcome: `${calls % 2}` }),
    };
  };

  it('is told of at each update that is skipped, and ends the job the third time in a row', async () => {
    const options = { ...smallJob({ learning_rate: 1e30 }), validationRows: [], grader: alternating() };
    const first = await start(options);
    const [fine, skipped] = await run(first, 2);
    expect(fine).toMatchObject({ warnings: [], metrics: { updated: 1 } });
    expect(skipped!.metrics).toMatchObject({ updated: 0, skipped_updates: 1 });
    expect(skipped!.warnings).toEqual([
      expect.stringMatching(/^Step 2 made no update: its loss is .* and its gradient.s norm NaN$/),
    ]);

    // Resumed: the count of skipped updates is part of the state.
    const resumed = await start({ ...options, resumeFrom: await asMap(first.snapshot()) });
    await run(resumed, 3);
    await expect(resumed.runStep()).rejects.toMatchObject({
      code: 'training_diverged',
      message: expect.stringMatching(/3 times in a row, the last at step 4; lower learning_rate/),
    });
  });
});

describe('a grader that fails', () => {
  /** Fails on the given share of completions, in order. */
  const failing = (share: number): ReinforcementOptions['grader'] => {
    const grader = compileGrader({ type: 'task', task: 'hypospace/voxel' });
    let calls = 0;
    return {
      ...grader,
      config: grader.config,
      name: grader.name,
      type: grader.type,
      checkItem: (item) => grader.checkItem(item),
      grade: (sample, item) => {
        if (Math.floor(calls * share) !== Math.floor(++calls * share)) {
          throw new GraderRuntimeError('the judge is out', 'other_error');
        }
        return grader.grade(sample, item);
      },
    };
  };

  it('leaves those completions out and counts them', async () => {
    const trainer = await start({ ...smallJob(), grader: failing(1 / 12) });
    const [report] = await run(trainer, 1);
    expect(report!.graderErrors).toEqual({ other_error: 2 });
    const ungraded = report!.groups.flatMap((g) => g.completions).filter((c) => c.reward === null);
    expect(ungraded).toHaveLength(2);
    expect(ungraded.every((c) => c.advantage === 0 && c.outcome === null)).toBe(true);
  });

  it('ends the job when it is most of the time, saying why', async () => {
    const trainer = await start({ ...smallJob(), grader: failing(1 / 2) });
    const failure = trainer.runStep();
    await expect(failure).rejects.toThrow(GradersFailedError);
    await expect(failure).rejects.toThrow(/failed on 12 of 24 completions of step 1:\n- the judge is out/);
  });
});

describe('bad input', () => {
  it('names the lines whose prompts are too long', async () => {
    const options = smallJob({ max_completion_tokens: 1019 });
    const failure = start(options);
    await expect(failure).rejects.toThrow(TrainerInputError);
    // Every compact prompt of a 3×3 view is 6 tokens, and the context has 1024.
    await expect(start(smallJob({ max_completion_tokens: 1020 }))).rejects.toThrow(
      /12 prompt\(s\) are longer than the 4 tokens .* line 1 \(6\), line 2 \(6\)/,
    );
  });

  it('refuses a snapshot of another job or one that is incomplete', async () => {
    const options = smallJob();
    const trainer = await start(options);
    const files = await asMap(trainer.snapshot());
    await expect(start({ ...options, seed: 99, resumeFrom: files })).rejects.toThrow('made with another seed');
    await expect(start({ ...smallJob({ learning_rate: 0.5 }), resumeFrom: files })).rejects.toThrow(
      'made with another hyperparameters',
    );
    files.delete('state/optimizer.safetensors');
    await expect(start({ ...options, resumeFrom: files })).rejects.toThrow('has no state/optimizer.safetensors');
  });
});
