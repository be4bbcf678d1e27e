import type { GraderDefinition } from '@polymode/contracts';
import type { StepReport } from '@polymode/trainer';
import {
  errorShare,
  type GraderNames,
  graderErrorFigures,
  judgeUsageFigures,
  type NamedGrader,
  usageByModel,
} from './grader-figures.js';
import type { MethodReport } from './method-report.js';

/** What is told of reinforcement jobs: OpenAI's fields, and ours under `grpo`. */
export function reinforcementReport(definition: GraderDefinition): MethodReport {
  const grader = graderNames(definition);
  return {
    message: ({ metrics, validation }) => {
      const parts = [` train mean reward=${(metrics.reward_mean ?? 0).toFixed(2)}`];
      const valid = validation?.metrics.reward_mean;
      if (valid !== undefined) {
        parts.push(` full validation mean reward=${valid.toFixed(2)}`);
        parts.push(
          ` full validation mean parse error=${(errorShare(validation, 'sample_parse_error') ?? 0).toFixed(2)}`,
        );
      }
      return parts.join(',');
    },
    data: (report) => stepData(report, grader),
    checkpointMetrics: ({ metrics, validation }) => {
      const valid = validation?.metrics.reward_mean;
      return {
        train_reward_mean: metrics.reward_mean ?? 0,
        ...(valid === undefined ? {} : { valid_reward_mean: valid }),
      };
    },
    columns: {
      train_reward_mean: (data) => (data.scores as Scores).train_reward_mean,
      valid_reward_mean: (data) => (data.scores as Scores).valid_reward_mean,
      completion_tokens_mean: (data) => data.completion_tokens_mean,
    },
  };
}

interface Scores {
  readonly train_reward_mean: number;
  readonly valid_reward_mean: number | null;
}

/** @param definition one that has been compiled; parts go by the keys under which their rewards are */
export function graderNames(definition: GraderDefinition): GraderNames {
  const named = (part: GraderDefinition, name: unknown = part.name): NamedGrader => {
    return {
      name: typeof name === 'string' ? name : part.type,
      type: part.type,
      ...(typeof part.model === 'string' && { model: part.model }),
    };
  };
  const graders = definition.type === 'multi' ? definition.graders : undefined;
  if (typeof graders !== 'object' || graders === null) return { ...named(definition), parts: [] };
  const alone = typeof (graders as { type?: unknown }).type === 'string';
  const list = (alone ? [graders] : Object.values(graders)) as GraderDefinition[];
  const keys = alone || Array.isArray(graders) ? [] : Object.keys(graders);
  return { ...named(definition), parts: list.map((part, i) => named(part, keys[i])) };
}

export function stepData(report: StepReport, names: GraderNames): Record<string, unknown> {
  const { parts, name, type } = names;
  const grader = { name, type };
  const { step, totalSteps, metrics, validation, timing } = report;
  const trainReward = metrics.reward_mean ?? 0;
  const validReward = validation?.metrics.reward_mean ?? null;
  const rewards = { train_reward_mean: trainReward, valid_reward_mean: validReward };
  const { reward_mean: _, ...grpo } = metrics;
  return {
    step,
    total_steps: totalSteps,
    scores: { ...rewards, graders: [{ ...grader, ...rewards }, ...parts.map((part) => partScores(report, part))] },
    usage: { graders: judgeUsageFigures(report, names) },
    errors: { graders: graderErrorFigures(report, names) },
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
    mean_unresponsive_rewards: errorShare(report, 'unresponsive_reward_error'),
    full_valid_mean_parse_error: errorShare(validation, 'sample_parse_error'),
    model_graders_token_usage: usageByModel(report),
    completion_tokens_mean: metrics.completion_tokens_mean ?? 0,
    grpo,
    ...(validation === undefined ? {} : { valid: validation.metrics }),
  };
}

function partScores({ metrics, validation }: StepReport, part: NamedGrader): Record<string, unknown> {
  const mean = `reward_mean/${part.name}`;
  const valid = validation?.metrics[mean] ?? null;
  const { name, type } = part;
  return { name, type, train_reward_mean: metrics[mean] ?? 0, valid_reward_mean: valid };
}
