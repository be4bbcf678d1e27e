import type { GraderDefinition } from '@polymode/contracts';
import type { NewEvent } from '@polymode/db';
import type { ExportReport, GraderErrors, StepReport, ValidationReport } from '@polymode/trainer';

/** What a job's readers are told, in the wording that OpenAI's service uses. Keys make a replayed step say it once. */

export function startedEvent(): NewEvent {
  return { dedupeKey: 'started', message: 'Fine-tuning job started' };
}

export function checkpointEvent(step: number, model: string): NewEvent {
  return { dedupeKey: `checkpoint:${step}`, message: `Checkpoint created at step ${step} with Snapshot ID: ${model}` };
}

export function succeededEvents(model: string): NewEvent[] {
  return [
    { dedupeKey: 'model', message: `New fine-tuned model created: ${model}` },
    { dedupeKey: 'succeeded', message: 'The job has successfully completed' },
  ];
}

export function failedEvent(message: string): NewEvent {
  return { dedupeKey: 'failed', level: 'error', message: `The job failed: ${message}` };
}

/** A grader as series of figures are named. */
export interface NamedGrader {
  readonly name: string;
  readonly type: string;
}

/** A job's grader, and those that it is made of. */
export interface GraderNames extends NamedGrader {
  readonly parts: readonly NamedGrader[];
}

/** @param definition one that has been compiled; parts go by the keys under which their rewards are */
export function graderNames(definition: GraderDefinition): GraderNames {
  const named = (part: GraderDefinition, name: unknown = part.name): NamedGrader => {
    return { name: typeof name === 'string' ? name : part.type, type: part.type };
  };
  const graders = definition.type === 'multi' ? definition.graders : undefined;
  if (typeof graders !== 'object' || graders === null) return { ...named(definition), parts: [] };
  const alone = typeof (graders as { type?: unknown }).type === 'string';
  const list = (alone ? [graders] : Object.values(graders)) as GraderDefinition[];
  const keys = alone || Array.isArray(graders) ? [] : Object.keys(graders);
  return { ...named(definition), parts: list.map((part, i) => named(part, keys[i])) };
}

/** The metrics event of one step: OpenAI's fields for reinforcement jobs, and ours under `grpo`. */
export function stepEvent(report: StepReport, grader: GraderNames): NewEvent {
  const { step, totalSteps, metrics, validation } = report;
  const reward = metrics.reward_mean ?? 0;
  const validReward = validation?.metrics.reward_mean;
  const parts = [`Step ${step}/${totalSteps} `, ` train mean reward=${reward.toFixed(2)}`];
  if (validReward !== undefined) parts.push(` full validation mean reward=${validReward.toFixed(2)}`);
  return {
    dedupeKey: `step:${step}`,
    type: 'metrics',
    message: parts.join(','),
    data: stepData(report, grader),
  };
}

/** What readers of a checkpoint's formats should know; said once for a job, as it holds for all of its checkpoints. */
export function exportWarnings(exports: readonly ExportReport[]): NewEvent[] {
  return exports.flatMap(({ format, warnings }) =>
    warnings.map(
      (warning, i): NewEvent => ({
        dedupeKey: `format:${format}:${i}`,
        level: 'warn',
        message: `Checkpoints as ${format}: ${warning}`,
      }),
    ),
  );
}

/** What a step warns of. */
export function warningEvents({ step, warnings }: StepReport): NewEvent[] {
  return warnings.map((message, i) => ({ dedupeKey: `warning:${step}:${i}`, level: 'warn', message }));
}

/** The data of a step's metrics event; the same object is the step's metrics row. */
export function stepData(report: StepReport, { parts, ...grader }: GraderNames): Record<string, unknown> {
  const { step, totalSteps, metrics, validation, timing } = report;
  const trainReward = metrics.reward_mean ?? 0;
  const validReward = validation?.metrics.reward_mean ?? null;
  const rewards = { train_reward_mean: trainReward, valid_reward_mean: validReward };
  const { reward_mean: _, ...grpo } = metrics;
  return {
    step,
    total_steps: totalSteps,
    scores: { ...rewards, graders: [{ ...grader, ...rewards }, ...parts.map((part) => partScores(report, part))] },
    errors: { graders: [{ ...grader, ...errorCounts(report), ...validationErrors(validation) }] },
    timing: {
      step: {
        sampling: timing.sampling,
        training: timing.training,
        eval: timing.eval,
        full_iteration: timing.full_iteration,
      },
      graders: [{ ...grader, train_execution_latency_mean: timing.grading }],
    },
    train_mean_reward: trainReward,
    full_valid_mean_reward: validReward,
    completion_tokens_mean: metrics.completion_tokens_mean ?? 0,
    grpo,
    ...(validation === undefined ? {} : { valid: validation.metrics }),
  };
}

function partScores({ metrics, validation }: StepReport, part: NamedGrader): Record<string, unknown> {
  const mean = `reward_mean/${part.name}`;
  const valid = validation?.metrics[mean] ?? null;
  return { ...part, train_reward_mean: metrics[mean] ?? 0, valid_reward_mean: valid };
}

function errorCounts(report: StepReport): Record<string, number> {
  const completions = report.groups.reduce((n, group) => n + group.completions.length, 0);
  return counted('train', report.graderErrors, completions);
}

function validationErrors(validation: ValidationReport | undefined): Record<string, number> {
  return validation === undefined ? {} : counted('valid', validation.graderErrors, 0);
}

const ERROR_KINDS = ['sample_parse_error', 'invalid_variable_error', 'other_error'];

function counted(set: 'train' | 'valid', errors: GraderErrors, completions: number): Record<string, number> {
  const kinds = [...new Set([...ERROR_KINDS, ...Object.keys(errors)])];
  return Object.fromEntries(
    kinds.flatMap((kind) => {
      const count = errors[kind] ?? 0;
      const entries: [string, number][] = [[`${set}_${kind}_count`, count]];
      if (completions > 0) entries.push([`${set}_${kind}_mean`, count / completions]);
      return entries;
    }),
  );
}
