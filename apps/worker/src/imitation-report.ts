import type { StepReport } from '@polymode/trainer';
import type { MethodReport } from './method-report.js';

/** What is told of supervised jobs: OpenAI's fields, and ours under `sft`. */
export const supervisedReport: MethodReport = {
  message: lossMessage,
  data: (report) => {
    const { train_loss, train_mean_token_accuracy, ...sft } = report.metrics;
    return { ...shared(report), train_loss, train_mean_token_accuracy, ...validated(report), sft };
  },
  checkpointMetrics: (report) => ({
    train_loss: report.metrics.train_loss!,
    train_mean_token_accuracy: report.metrics.train_mean_token_accuracy!,
    ...validated(report),
  }),
  columns: {
    train_loss: (data) => data.train_loss,
    train_accuracy: (data) => data.train_mean_token_accuracy,
    valid_loss: (data) => data.valid_loss,
    valid_mean_token_accuracy: (data) => data.valid_mean_token_accuracy,
  },
};

/** What is told of preference jobs: the loss as supervised jobs have it, and what is the method's own under `dpo`. */
export const preferenceReport: MethodReport = {
  message: lossMessage,
  data: (report) => {
    const { train_loss, ...dpo } = report.metrics;
    const { validation } = report;
    const valid = validation === undefined ? {} : { valid: withoutLoss(validation.metrics) };
    return { ...shared(report), train_loss, ...validated(report), dpo: { ...dpo, ...valid } };
  },
  checkpointMetrics: (report) => ({
    train_loss: report.metrics.train_loss!,
    reward_accuracy: report.metrics.reward_accuracy!,
    ...validated(report),
  }),
  columns: {
    train_loss: (data) => data.train_loss,
    train_reward_accuracy: (data) => (data.dpo as Record<string, unknown>).reward_accuracy,
    valid_loss: (data) => data.valid_loss,
    valid_reward_accuracy: (data) => (data.dpo as { valid?: Record<string, unknown> }).valid?.reward_accuracy,
  },
};

function lossMessage({ metrics, validation }: StepReport): string {
  const loss = `training loss=${metrics.train_loss!.toFixed(2)}`;
  return validation === undefined ? loss : `${loss}, validation loss=${validation.metrics.loss!.toFixed(2)}`;
}

function shared({ step, totalSteps, timing }: StepReport): Record<string, unknown> {
  return { step, total_steps: totalSteps, timing: { step: timing } };
}

/** The whole validation file is gone through each time, so both of OpenAI's names have the same figures. */
function validated({ validation }: StepReport): Record<string, number> {
  if (validation === undefined) return {};
  const { loss, mean_token_accuracy: accuracy } = validation.metrics;
  return {
    valid_loss: loss!,
    full_valid_loss: loss!,
    ...(accuracy === undefined
      ? {}
      : { valid_mean_token_accuracy: accuracy, full_valid_mean_token_accuracy: accuracy }),
  };
}

function withoutLoss({ loss: _, ...rest }: Readonly<Record<string, number>>): Record<string, number> {
  return rest;
}
