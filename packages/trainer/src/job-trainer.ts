import type { Engine } from '@polymode/autodiff';
import {
  type ExportReport,
  exportPolicy,
  type ModelFolder,
  type Policy,
  promptLogits,
  type Tokenizer,
  type Weights,
} from '@polymode/policy';
import { rowsOfStep } from './data-order.js';
import { Learner, type LearnerReport } from './learner.js';
import type { JobDemand } from './memory-demand.js';
import { type MemoryPlan, machineBytes, planMemory } from './memory-plan.js';
import { type JobIdentity, readSnapshot, readStartingPoint, snapshotFiles } from './snapshot.js';
import type {
  CheckpointExport,
  JobOptions,
  LearnerHyperparameters,
  SnapshotFile,
  StepReport,
  Trainer,
} from './types.js';

/** What a job runs on. */
export interface JobParts {
  readonly model: ModelFolder;
  readonly tokenizer: Tokenizer;
  readonly engine: Engine;
}

/** Tokens that an export is checked on: each takes a vector of logits as long as the vocabulary. */
const EXPORT_TOKENS = 16;

/** What the methods have in common: where they stand, which rows are next, how they are saved. */
export abstract class JobTrainer<Row, H extends LearnerHyperparameters> implements Trainer {
  protected readonly learner: Learner;
  protected readonly tokenizer: Tokenizer;
  private readonly otherFiles: ModelFolder['otherFiles'];
  abstract readonly warnings: readonly string[];

  /** @param reference whether the method needs the policy as it was before training */
  constructor(
    readonly method: string,
    protected readonly options: JobOptions<Row, H>,
    { model, tokenizer, engine }: JobParts,
    reference: boolean,
  ) {
    this.tokenizer = tokenizer;
    this.otherFiles = model.otherFiles;
    this.learner = new Learner(model.config, engine, {
      hyperparameters: options.hyperparameters,
      path: `method.${method}.hyperparameters`,
      paddingToken: tokenizer.paddingToken,
      seed: options.seed,
      reference,
    });
  }

  abstract runStep(): Promise<StepReport>;

  get step(): number {
    return this.learner.progress.step;
  }

  get totalSteps(): number {
    return this.options.hyperparameters.max_steps;
  }

  get trainedTokens(): number {
    return this.learner.progress.trainedTokens;
  }

  protected get policy(): Policy {
    return this.learner.policy;
  }

  private get identity(): JobIdentity {
    const { seed, hyperparameters, trainRows } = this.options;
    return { seed, hyperparameters, trainRows: trainRows.length };
  }

  /** What the method asks of memory at its fullest. */
  protected abstract memoryDemand(): JobDemand;

  /** How much memory the job takes, and what for. @throws TrainerInputError when it does not fit */
  planMemory(): MemoryPlan {
    const { policy, hasSecondModel: secondModel, engine } = this.learner;
    return planMemory(
      { ...this.memoryDemand(), policy, secondModel },
      this.options.hyperparameters.memory_budget_mb,
      engine.provider === 'cpu' ? machineBytes() : null,
      `method.${this.method}.hyperparameters`,
    );
  }

  /** @param weights of the base model; they move into the engine */
  async restore(weights: Weights): Promise<void> {
    const { resumeFrom, startFrom } = this.options;
    this.learner.gradientStep.setMemory(this.planMemory());
    await this.learner.restore(
      weights,
      startFrom === undefined ? null : readStartingPoint(startFrom),
      resumeFrom === undefined ? null : readSnapshot(resumeFrom, this.identity),
    );
  }

  /** Indices of the training rows of the next step. @param count rows there are to learn from */
  protected nextRows(count: number): number[] {
    return rowsOfStep(this.options.seed, count, this.options.hyperparameters.batch_size, this.step + 1);
  }

  /** Whether validation follows the step that has just been made. */
  protected get validationIsDue(): boolean {
    const { eval_interval: interval } = this.options.hyperparameters;
    return this.options.validationRows.length > 0 && (this.step % interval === 0 || this.step === this.totalSteps);
  }

  /** A report with what every method says, of the step that has just been made. */
  protected report({
    metrics,
    warnings,
  }: LearnerReport): Pick<StepReport, 'step' | 'totalSteps' | 'metrics' | 'warnings'> {
    return { step: this.step, totalSteps: this.totalSteps, metrics, warnings };
  }

  snapshot(): SnapshotFile[] {
    return snapshotFiles(this.learner.snapshot, this.identity, this.options.hyperparameters.batch_size);
  }

  async export(folder: string, { format, ggufType }: CheckpointExport): Promise<ExportReport> {
    const { model, threads = 1 } = this.options;
    const source = { policy: this.policy, name: model.name, otherFiles: this.otherFiles, ggufType };
    return exportPolicy(format, source, folder, { tokens: this.exportTokens, threads });
  }

  private get exportTokens(): readonly number[] {
    return this.sampleTokens().slice(0, EXPORT_TOKENS);
  }

  async exportedLogits(): Promise<{ tokens: readonly number[]; logits: Float32Array }> {
    return { tokens: this.exportTokens, logits: await promptLogits(this.policy, this.exportTokens) };
  }

  /** Tokens of the training file, two at least, that exports are checked on. */
  protected abstract sampleTokens(): readonly number[];

  async close(): Promise<void> {
    await this.learner.engine.close();
  }
}
