import { buffer } from 'node:stream/consumers';
import { findWebGpu } from '@polymode/autodiff/testing';
import { readSafetensors, type Weights } from '@polymode/policy';
import { createTrainer, type StepReport } from '@polymode/trainer';
import { describe, expect, it } from 'vitest';
import { smallJob } from './small-job.js';

const webGpu = findWebGpu();
Object.assign(process.env, webGpu.env);
if (!webGpu.available) console.log(`Tests on WebGPU are skipped: ${webGpu.reason}.`);

async function twoSteps(device: 'cpu' | 'webgpu'): Promise<{ reports: StepReport[]; weights: Weights }> {
  // No validation: on a software device every length of prompt costs seconds of shader compilation.
  const options = { ...smallJob({ max_steps: 2, kl_coefficient: 0.05 }), validationRows: [] };
  const trainer = await createTrainer({ ...options, device });
  try {
    const reports = [await trainer.runStep(), await trainer.runStep()];
    const files = await trainer.snapshot();
    return {
      reports,
      weights: readSafetensors(await buffer(files.find((f) => f.path === 'state/trained.safetensors')!.chunks())),
    };
  } finally {
    await trainer.close();
  }
}

describe.skipIf(!webGpu.available)('a job on WebGPU', () => {
  it('samples, differentiates and updates as on the CPU, its weights and moments staying on the device', {
    timeout: 240_000,
  }, async () => {
    const [cpu, gpu] = [await twoSteps('cpu'), await twoSteps('webgpu')];
    for (const [i, report] of cpu.reports.entries()) {
      const other = gpu.reports[i]!;
      const texts = (r: StepReport): string[] => r.groups.flatMap((g) => g.completions.map((c) => c.text));
      expect(texts(other)).toEqual(texts(report));
      for (const key of ['loss', 'kl', 'entropy', 'grad_norm']) {
        expect(other.metrics[key], `${key} of step ${i + 1}`).toBeCloseTo(report.metrics[key]!, 4);
      }
    }
    // AdamW moves a weight by up to the learning rate a step, whatever its gradient's size, so where a gradient is all
    // rounding the direction may differ; on average the two agree far better than the steps they took (2 · 1e-3).
    for (const [name, { data }] of Object.entries(cpu.weights)) {
      const mean = data.reduce((s, v, i) => s + Math.abs(v - gpu.weights[name]!.data[i]!), 0) / data.length;
      expect(mean, name).toBeLessThan(2e-5);
    }
  });
});
