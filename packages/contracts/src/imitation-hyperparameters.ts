import { z } from 'zod';
import {
  decided,
  learnerFields,
  orAuto,
  resolvedLearnerFields,
  resolveLearner,
  type TrainingData,
} from './learner-hyperparameters.js';

/** `method.supervised.hyperparameters`: answers are learned as they stand. */
export const SupervisedHyperparameters = z.strictObject(learnerFields);
export type SupervisedHyperparameters = z.infer<typeof SupervisedHyperparameters>;

export const ResolvedSupervisedHyperparameters = z.strictObject(resolvedLearnerFields);
export type ResolvedSupervisedHyperparameters = z.infer<typeof ResolvedSupervisedHyperparameters>;

/** `method.dpo.hyperparameters`: one answer is learned to be preferred to another. */
export const PreferenceHyperparameters = z.strictObject({
  ...learnerFields,
  /** How much the preference weighs against leaving the base model. */
  beta: orAuto(z.number().gt(0).max(2)),
});
export type PreferenceHyperparameters = z.infer<typeof PreferenceHyperparameters>;

export const ResolvedPreferenceHyperparameters = z.strictObject({ ...resolvedLearnerFields, beta: z.number() });
export type ResolvedPreferenceHyperparameters = z.infer<typeof ResolvedPreferenceHyperparameters>;

/** ε of AdamW, PyTorch's own. */
const ADAM_EPSILON = 1e-8;

const everyEpoch = ({ maxSteps, stepsPerEpoch }: { maxSteps: number; stepsPerEpoch: number }): number =>
  Math.min(maxSteps, stepsPerEpoch);

/**
 * Decides every "auto": what `resolveLearner` says, with a learning rate of 2e-4 for adapters and 1e-4 for all weights, and
 * validation after each epoch.
 *
 * @throws HyperparameterError as `resolveLearner` does
 */
export function resolveSupervised(
  requested: SupervisedHyperparameters,
  data: TrainingData,
): ResolvedSupervisedHyperparameters {
  return resolveLearner(requested, data, {
    learningRate: { lora: 2e-4, full: 1e-4 },
    epsilon: ADAM_EPSILON,
    evalInterval: everyEpoch,
  });
}

/**
 * Decides every "auto": as for supervised jobs, with a learning rate of 2e-5 for adapters and 5e-6 for all weights;
 * beta = 0.1.
 *
 * @throws HyperparameterError as `resolveLearner` does
 */
export function resolvePreference(
  requested: PreferenceHyperparameters,
  data: TrainingData,
): ResolvedPreferenceHyperparameters {
  const learner = resolveLearner(requested, data, {
    learningRate: { lora: 2e-5, full: 5e-6 },
    epsilon: ADAM_EPSILON,
    evalInterval: everyEpoch,
  });
  return { ...learner, beta: decided(requested.beta) ?? 0.1 };
}
