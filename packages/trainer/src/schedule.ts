/** How the learning rate of a job goes up and down. */
export interface Schedule {
  /** course after the warm-up; `linear` and `cosine` end at 0 one step after the last */
  readonly lr_schedule: 'constant' | 'linear' | 'cosine';
  /** updates over which the rate rises linearly; 0 for none */
  readonly warmup_steps: number;
  /** steps of the job */
  readonly max_steps: number;
}

/**
 * The share of the learning rate that a step gets, in (0, 1].
 *
 * The rise counts updates, for it waits for AdamW's moments to fill, and a step without spread makes no update. The
 * decline counts steps, for it must be done when the job is.
 *
 * @param update number of the update this step may make, from 1
 * @param step number of the step, from 1
 */
export function learningRateShare(
  { lr_schedule, warmup_steps, max_steps }: Schedule,
  update: number,
  step: number,
): number {
  const rise = warmup_steps === 0 ? 1 : Math.min(1, update / warmup_steps);
  if (lr_schedule === 'constant' || step <= warmup_steps) return rise;
  const done = (step - 1 - warmup_steps) / Math.max(1, max_steps - warmup_steps); // in [0, 1)
  return rise * (lr_schedule === 'linear' ? 1 - done : (1 + Math.cos(Math.PI * done)) / 2);
}
