import { describe, expect, it } from 'vitest';
import { learningRateShare, type Schedule } from './schedule.js';

const course = (schedule: Schedule): number[] =>
  Array.from({ length: schedule.max_steps }, (_, i) => learningRateShare(schedule, i + 1, i + 1));

describe('learningRateShare', () => {
  it('rises over the warm-up and then stays', () => {
    expect(course({ lr_schedule: 'constant', warmup_steps: 4, max_steps: 6 })).toEqual([0.25, 0.5, 0.75, 1, 1, 1]);
    expect(course({ lr_schedule: 'constant', warmup_steps: 0, max_steps: 2 })).toEqual([1, 1]);
  });

  // transformers' get_linear_schedule_with_warmup and get_cosine_schedule_with_warmup give step k (from 0) of T steps the
  // shares (T − k) / (T − w) and (1 + cos(π (k − w) / (T − w))) / 2 after w steps of warm-up.
  it.each([
    ['linear', (k: number, w: number, t: number) => (t - k) / (t - w)],
    ['cosine', (k: number, w: number, t: number) => (1 + Math.cos((Math.PI * (k - w)) / (t - w))) / 2],
  ] as const)('declines as transformers has %s', (lr_schedule, share) => {
    const [w, t] = [3, 10];
    const made = course({ lr_schedule, warmup_steps: w, max_steps: t });
    for (let k = w; k < t; k++) expect(made[k]).toBeCloseTo(share(k, w, t), 12);
    expect(made.slice(0, w)).toEqual([1 / 3, 2 / 3, 1]);
    expect(Math.min(...made)).toBeGreaterThan(0);
  });

  it('counts updates in the rise and steps in the decline', () => {
    const schedule: Schedule = { lr_schedule: 'linear', warmup_steps: 2, max_steps: 12 };
    expect(learningRateShare(schedule, 1, 7)).toBeCloseTo(0.5 * 0.6, 12);
  });
});
