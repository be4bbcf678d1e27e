import type { StepResult } from './gradient-step.js';
import { JobTrainer } from './job-trainer.js';
import { likelihoodLoss } from './likelihood-loss.js';
import type { TrainingSequence } from './token-loss.js';
import type { LearnerHyperparameters, StepReport, ValidationReport } from './types.js';

/** Methods that learn from answers which are there already: each step pushes on the likelihood of their tokens. */
export abstract class ImitationTrainer<Row, H extends LearnerHyperparameters> extends JobTrainer<Row, H> {
  /** One update by − Σ weights · log π. */
  protected learn(sequences: readonly TrainingSequence[]): Promise<StepResult> {
    const { gradientStep, progress, learningRate } = this.learner;
    return gradientStep.run(likelihoodLoss, sequences, {}, progress.updates + 1, learningRate, 1);
  }

  /**
   * Ends a step: it counts, and validation follows where it is due.
   *
   * @param update what {@link learn} came to
   * @param tokens that were learned from
   * @param metrics of the method
   * @param started when the step began, of `performance.now()`
   */
  protected async endStep(
    update: StepResult,
    tokens: number,
    metrics: Readonly<Record<string, number>>,
    started: number,
  ): Promise<StepReport> {
    const report = this.report(this.learner.advance(update, tokens, this.learner.learningRate));
    const trained = performance.now();
    const validation = this.validationIsDue ? await this.validate() : undefined;
    const ended = performance.now();
    return {
      ...report,
      metrics: { ...report.metrics, ...metrics },
      groups: [],
      graderErrors: {},
      ...(validation === undefined ? {} : { validation }),
      timing: {
        training: (trained - started) / 1000,
        eval: (ended - trained) / 1000,
        full_iteration: (ended - started) / 1000,
      },
    };
  }

  protected abstract validate(): Promise<ValidationReport>;
}
