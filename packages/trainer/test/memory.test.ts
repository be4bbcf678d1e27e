import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { MemoryEstimate } from '@polymode/trainer';
import { createTrainer } from '@polymode/trainer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { smallJob } from './small-job.js';

const run = promisify(execFile);
const script = fileURLToPath(new URL('measure-memory.mjs', import.meta.url));
const MIB = 2 ** 20;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'polymode-memory-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

interface Settings {
  readonly layers: number;
  readonly shape?: Record<string, number>;
  readonly prompt: number;
  readonly hyperparameters: Record<string, unknown>;
}

/** Estimate and peak of two steps, each in a process of its own. */
async function measure(name: string, settings: Settings): Promise<{ estimate: number; peak: number }> {
  const model = join(folder, name);
  const argument = JSON.stringify(settings);
  await run(process.execPath, [script, argument, 'make', model]);
  const { stdout } = await run(process.execPath, [script, argument, 'run', model]);
  const { estimate, peak } = JSON.parse(stdout) as { estimate: MemoryEstimate; peak: number };
  return { estimate: Object.values(estimate).reduce((a, b) => a + b, 0), peak };
}

describe('the estimate of a job', () => {
  const cases: [string, Settings][] = [
    [
      'an adapter on a large vocabulary',
      { layers: 2, prompt: 128, hyperparameters: { trainable: 'lora', group_size: 8, max_completion_tokens: 32 } },
    ],
    [
      'an adapter and long completions',
      {
        layers: 3,
        shape: { vocab_size: 8192 },
        prompt: 256,
        hyperparameters: { trainable: 'lora', group_size: 16, max_completion_tokens: 96 },
      },
    ],
    [
      'all weights beside a reference',
      {
        layers: 3,
        shape: { vocab_size: 16384 },
        prompt: 128,
        hyperparameters: { trainable: 'full', group_size: 8, max_completion_tokens: 64, kl_coefficient: 0.1 },
      },
    ],
  ];
  it.each(cases)('with %s is within a quarter of its peak', async (name, settings) => {
    const { estimate, peak } = await measure(name, settings);
    expect(peak).toBeGreaterThan(500 * MIB); // most of it is the job's, not the process's
    expect(estimate / peak).toBeGreaterThan(0.75);
    expect(estimate / peak).toBeLessThan(1.25);
  });

  it('keeps to a budget by smaller passes', async () => {
    const settings = cases[1]![1];
    const whole = await measure('whole', settings);
    const budget = Math.round((0.7 * whole.estimate) / MIB);
    const within = await measure('budget', {
      ...settings,
      hyperparameters: { ...settings.hyperparameters, memory_budget_mb: budget },
    });
    expect(within.estimate).toBeLessThan(budget * MIB);
    expect(within.peak).toBeLessThan(1.25 * budget * MIB);
    expect(within.peak).toBeLessThan(0.9 * whole.peak);
  });
});

describe('a job that cannot fit', () => {
  const refusal = async (overrides: Parameters<typeof smallJob>[0]): Promise<{ code: string; message: string }> => {
    const failure = await createTrainer(smallJob(overrides)).then(
      async (trainer) => {
        await trainer.close();
        return null;
      },
      (error) => error,
    );
    expect(failure).toMatchObject({
      code: 'insufficient_memory',
      param: 'method.reinforcement.hyperparameters.memory_budget_mb',
    });
    return failure;
  };

  it('is told what it needs, what for, and which options would make it fit', async () => {
    const { message } = await refusal({ memory_budget_mb: 64 });
    expect(message).toMatch(/needs \d+ MiB at least \(process \d+, weights \d+, .*training \d+\), and there are 64\./);
    expect(message).toMatch(/Set memory_budget_mb of \d+\.$/);
    // The budget that it names is enough.
    const enough = Number(/memory_budget_mb of (\d+)/.exec(message)![1]);
    const trainer = await createTrainer(smallJob({ memory_budget_mb: enough }));
    await trainer.close();
  });

  it('is told of each option that is enough by itself', async () => {
    const { message } = await refusal({ max_completion_tokens: 1000, group_size: 256, memory_budget_mb: 900 });
    expect(message).toMatch(/max_completion_tokens to \d+, which needs \d+/);
    const completion = Number(/max_completion_tokens to (\d+)/.exec(message)![1]);
    expect(completion).toBeLessThan(1000);
    const settings = { max_completion_tokens: completion, group_size: 256, memory_budget_mb: 900 };
    const trainer = await createTrainer(smallJob(settings));
    await trainer.close();
  });
});
