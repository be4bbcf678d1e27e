import type OpenAI from 'openai';

/** A job to follow, and how the demo calls it. */
export interface FollowedJob {
  readonly label: string;
  readonly id: string;
}

/** The numbers of one training step, as the job's metrics events carry them. */
export interface StepNumbers {
  readonly step: number;
  readonly totalSteps: number;
  readonly reward: number;
  readonly unique: number;
  readonly top: number;
  readonly flat: number;
}

/** Events asked for at a time. */
const PAGE = 100;

/** How often the jobs are looked at. */
const POLL_MS = 1000;

/**
 * Polls jobs until all have ended, with one line that says where each is: rewritten in place on a terminal, printed
 * now and then elsewhere.
 *
 * @throws Error naming a job that did not succeed, with its error
 */
export async function followJobs(client: OpenAI, jobs: readonly FollowedJob[], log: NodeJS.WriteStream): Promise<void> {
  let lastPrinted = 0;
  while (true) {
    const states = await Promise.all(jobs.map((job) => client.fineTuning.jobs.retrieve(job.id)));
    const parts = await Promise.all(
      jobs.map(async (job, i) => `${job.label} ${await newest(client, job.id, states[i]!.status)}`),
    );
    const ended = states.every((s) => s.finished_at !== null);
    const line = parts.join('   ');
    if (log.isTTY) log.write(`\r\x1b[2K  ${line}${ended ? '\n' : ''}`);
    else if (ended || Date.now() - lastPrinted > 10_000) {
      log.write(`  ${line}\n`);
      lastPrinted = Date.now();
    }
    if (ended) {
      const failed = states.find((s) => s.status !== 'succeeded');
      if (failed !== undefined) {
        throw new Error(`job ${failed.id} ended as ${failed.status}: ${JSON.stringify(failed.error)}`);
      }
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

async function newest(client: OpenAI, id: string, status: string): Promise<string> {
  const { data } = await client.fineTuning.jobs.listEvents(id, { limit: 10 });
  const metrics = data.map(stepNumbers).find((n) => n !== null);
  if (metrics === undefined || metrics === null) return status;
  const percent = (value: number): string => `${Math.round(value * 100)} %`;
  return `${metrics.step}/${metrics.totalSteps}, right ${percent(metrics.reward)}, different ${percent(metrics.unique)}`;
}

/** Every step of a job, first to last. */
export async function stepHistory(client: OpenAI, id: string): Promise<StepNumbers[]> {
  const steps: StepNumbers[] = [];
  for await (const event of client.fineTuning.jobs.listEvents(id, { limit: PAGE })) {
    const numbers = stepNumbers(event);
    if (numbers !== null) steps.push(numbers);
  }
  return steps.reverse();
}

function stepNumbers(event: OpenAI.FineTuning.FineTuningJobEvent): StepNumbers | null {
  if (event.type !== 'metrics') return null;
  const data = event.data as {
    step: number;
    total_steps: number;
    train_mean_reward: number;
    grpo: { unique_outcomes_frac: number; top_outcome_share: number; frac_reward_zero_std: number };
  };
  return {
    step: data.step,
    totalSteps: data.total_steps,
    reward: data.train_mean_reward,
    unique: data.grpo.unique_outcomes_frac,
    top: data.grpo.top_outcome_share,
    flat: data.grpo.frac_reward_zero_std,
  };
}
