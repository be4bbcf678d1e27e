import { Engine, float32, type Value } from '@polymode/autodiff';
import { objectives } from '@polymode/objectives';
import {
  initialAdapter,
  type LoraOptions,
  LoraTargetError,
  loadTokenizer,
  type ModelFolder,
  Policy,
  readModelFolder,
  type Tokenizer,
  uniforms,
  type Weights,
} from '@polymode/policy';
import { rowsOfStep } from './data-order.js';
import { GradersFailedError, TrainerInputError } from './errors.js';
import { GradientStep } from './gradient-step.js';
import { average, rolloutMetrics } from './metrics.js';
import { encodeRows, type Prompt } from './prompts.js';
import { type Graded, type Rollout, rollOut } from './rollout.js';
import { learningRateShare } from './schedule.js';
import { type JobIdentity, momentNames, type Progress, readSnapshot, snapshotFiles } from './snapshot.js';
import { type RewardedSequence, surrogateUpdate, type UpdateReport } from './surrogate-update.js';
import type {
  GradedGroup,
  SnapshotFile,
  StepReport,
  Trainer,
  TrainerHyperparameters,
  TrainerOptions,
  ValidationReport,
} from './types.js';

/** Which random numbers a draw uses: training and validation never share any. */
const STREAM = { train: 0, validation: 1 } as const;

/** A step in which more than this share of completions could not be graded fails the job. */
const GRADER_ERROR_LIMIT = 0.1;

/** So many updates in a row that were no numbers end the job: the policy would not come back by itself. */
const SKIPPED_UPDATES_LIMIT = 3;

const POLICY_PREFIX = 'policy/';
const REFERENCE_PREFIX = 'reference/';

/**
 * Prepares a job: reads the model, turns rows into prompts, starts the engine and restores a snapshot if there is one.
 *
 * @throws TrainerInputError for data or a snapshot that cannot be trained on, naming lines
 * @throws UnsupportedConfigError for a model that this engine cannot run
 */
export async function createTrainer(options: TrainerOptions): Promise<Trainer> {
  const model = await readModelFolder(options.modelDir);
  const tokenizer = await loadTokenizer(options.modelDir);
  const limit = model.config.maxPositionEmbeddings - options.hyperparameters.max_completion_tokens;
  const train = encodeRows(tokenizer, options.trainRows, limit, 'training_file');
  const validation = encodeRows(tokenizer, options.validationRows, limit, 'validation_file');
  if (train.length === 0) {
    throw new TrainerInputError('invalid_n_examples', 'training_file', 'Training file has 0 example(s)');
  }
  const engine = new Engine({ provider: options.device ?? 'cpu', threads: options.threads ?? 1 });
  try {
    const trainer = new ReinforcementTrainer(options, model, tokenizer, engine, train, validation);
    await trainer.restore(options.resumeFrom);
    return trainer;
  } catch (error) {
    await engine.close();
    throw error;
  }
}

class ReinforcementTrainer implements Trainer {
  private readonly policy: Policy;
  private readonly reference: Policy | null;
  private readonly gradientStep: GradientStep;
  private progress: Progress = {
    step: 0,
    updates: 0,
    skippedInARow: 0,
    trainedTokens: 0,
    completions: 0,
    graderErrors: 0,
  };

  constructor(
    private readonly options: TrainerOptions,
    private readonly model: ModelFolder,
    private readonly tokenizer: Tokenizer,
    private readonly engine: Engine,
    private readonly train: readonly Prompt[],
    private readonly validation: readonly Prompt[],
  ) {
    const { hyperparameters: h } = options;
    const { paddingToken } = tokenizer;
    const lora = loraOptions(h);
    this.policy = policyOf(model, engine, { prefix: POLICY_PREFIX, paddingToken, ...(lora && { lora }) });
    this.reference = h.kl_coefficient > 0 ? this.referencePolicy() : null;
    this.gradientStep = new GradientStep(this.policy, {
      optimizer: {
        weightDecay: h.optimizer.weight_decay,
        beta1: h.optimizer.beta1,
        beta2: h.optimizer.beta2,
        epsilon: h.optimizer.epsilon,
        maxGradientNorm: h.optimizer.max_grad_norm,
      },
    });
  }

  /** What the policy was before training: its own base where that stays, or a second set of weights. */
  private referencePolicy(): Policy {
    if (this.policy.lora !== null) return this.policy.withoutAdapter();
    const { config, engine, paddingToken } = this.policy;
    return new Policy(config, engine, { prefix: REFERENCE_PREFIX, paddingToken });
  }

  get step(): number {
    return this.progress.step;
  }

  get totalSteps(): number {
    return this.options.hyperparameters.max_steps;
  }

  get trainedTokens(): number {
    return this.progress.trainedTokens;
  }

  private get identity(): JobIdentity {
    const { seed, hyperparameters, trainRows } = this.options;
    return { seed, hyperparameters, trainRows: trainRows.length };
  }

  async restore(files: ReadonlyMap<string, Uint8Array> | undefined): Promise<void> {
    const { policy, reference, model } = this;
    const saved = files === undefined ? null : readSnapshot(files, this.identity);
    if (reference !== null && reference.prefix !== policy.prefix) await reference.setWeights(model.weights);
    if (policy.lora === null) {
      await policy.moveWeights(saved?.trained ?? model.weights);
    } else {
      await policy.moveWeights(model.weights);
      await policy.setAdapter(saved?.trained ?? initialAdapter(model.config, policy.lora, this.options.seed));
    }
    await this.gradientStep.allocate();
    if (saved === null) return;
    await this.engine.move(
      Object.fromEntries(
        momentNames(Object.keys(policy.trainable)).map((name): [string, Value] => {
          const moment = saved.moments[name];
          if (moment === undefined) throw new TrainerInputError('invalid_snapshot', null, `the snapshot lacks ${name}`);
          return [name, float32(moment.data, moment.shape)];
        }),
      ),
    );
    this.progress = saved.progress;
  }

  async runStep(): Promise<StepReport> {
    const { hyperparameters: h, seed } = this.options;
    const started = performance.now();
    const step = this.step + 1;
    const rows = rowsOfStep(seed, this.train.length, h.batch_size, step);
    const prompts = rows.map((row) => this.train[row]!);
    const rollout = await this.rollOut(prompts, h.group_size, STREAM.train, step);
    failOnBrokenGrader(rollout, step);

    const trainingStarted = performance.now();
    const { groups, sequences, advantageMetrics } = this.computeAdvantages(rollout, prompts, rows);
    const learningRate = h.learning_rate * learningRateShare(h, this.progress.updates + 1, step);
    let updated: UpdateReport | null = null;
    if (sequences.length > 0) {
      updated = await surrogateUpdate(
        this.gradientStep,
        await this.withReference(sequences),
        this.progress.updates + 1,
        {
          learningRate,
          clipEpsilon: h.clip_epsilon,
          klCoefficient: h.kl_coefficient,
          temperature: h.temperature,
        },
      );
    }
    const skippedInARow =
      updated === null ? this.progress.skippedInARow : updated.applied ? 0 : this.progress.skippedInARow + 1;
    if (skippedInARow >= SKIPPED_UPDATES_LIMIT) throw diverged(skippedInARow, step);
    const trainingTime = (performance.now() - trainingStarted) / 1000;
    this.progress = {
      step,
      updates: this.progress.updates + (updated?.applied ? 1 : 0),
      skippedInARow,
      trainedTokens: this.progress.trainedTokens + (updated?.applied ? updated.tokens : 0),
      completions: this.progress.completions + prompts.length * h.group_size,
      graderErrors: this.progress.graderErrors + Object.values(rollout.errors).reduce((a, b) => a + b, 0),
    };

    const evalStarted = performance.now();
    const due = this.validation.length > 0 && (step % h.eval_interval === 0 || step === this.totalSteps);
    const validation = due ? await this.validate(step) : undefined;
    return {
      step,
      totalSteps: this.totalSteps,
      metrics: {
        ...rolloutMetrics(rollout.groups),
        ...advantageMetrics,
        ...updateMetrics(updated),
        learning_rate: learningRate,
        trained_tokens: this.progress.trainedTokens,
      },
      groups,
      graderErrors: rollout.errors,
      warnings: updated?.applied === false ? [skippedMessage(step, updated)] : [],
      ...(validation === undefined ? {} : { validation }),
      timing: {
        sampling: rollout.samplingTime,
        grading: rollout.gradingTime,
        training: trainingTime,
        eval: (performance.now() - evalStarted) / 1000,
        full_iteration: (performance.now() - started) / 1000,
      },
    };
  }

  private rollOut(prompts: readonly Prompt[], groupSize: number, stream: number, step: number): Promise<Rollout> {
    const { hyperparameters: h, seed, grader } = this.options;
    return rollOut(
      this.policy,
      grader,
      prompts,
      groupSize,
      (prompt, sample) =>
        uniforms({ seed, stream, step, row: prompt * groupSize + sample, count: h.max_completion_tokens }),
      {
        maxTokens: h.max_completion_tokens,
        temperature: h.temperature,
        topP: h.top_p,
        stopTokens: this.tokenizer.stopTokens,
      },
      (tokens) => this.tokenizer.decode(tokens),
    );
  }

  /** Advantages of every group, and the sequences of those groups that have something to learn from. */
  private computeAdvantages(
    rollout: Rollout,
    prompts: readonly Prompt[],
    rows: readonly number[],
  ): { groups: GradedGroup[]; sequences: RewardedSequence[]; advantageMetrics: Record<string, number> } {
    const { hyperparameters: h } = this.options;
    const objective = objectives[h.algorithm];
    const sequences: RewardedSequence[] = [];
    const absolute: number[] = [];
    let flat = 0;
    let heaviest = 1;
    const groups = rollout.groups.map((group, i): GradedGroup => {
      const graded = group.filter((g): g is Graded & { grade: NonNullable<Graded['grade']> } => g.grade !== null);
      const result = objective(
        graded.map((g) => g.grade.reward),
        graded.map((g) => g.grade.outcome),
        { ips: h.ips },
      );
      if (!result.hasSpread) flat++;
      heaviest = Math.max(heaviest, result.maxWeight);
      const advantages = new Map(graded.map((g, k) => [g, result.advantages[k]!]));
      for (const [g, advantage] of advantages) {
        absolute.push(Math.abs(advantage));
        if (!result.hasSpread) continue;
        sequences.push({
          prompt: prompts[i]!.tokens,
          completion: g.completion.tokens,
          oldLogProbabilities: g.completion.logProbabilities,
          advantage,
        });
      }
      return {
        row: rows[i]!,
        hasSpread: result.hasSpread,
        completions: group.map((g) => ({
          text: g.text,
          tokens: g.completion.tokens.length,
          finishReason: g.completion.finishReason,
          reward: g.grade?.reward ?? null,
          outcome: g.grade?.outcome ?? null,
          advantage: advantages.get(g as (typeof graded)[number]) ?? 0,
        })),
      };
    });
    return {
      groups,
      sequences,
      advantageMetrics: {
        frac_reward_zero_std: flat / groups.length,
        advantage_abs_mean: average(absolute),
        ips_weight_max: heaviest,
      },
    };
  }

  private async withReference(sequences: readonly RewardedSequence[]): Promise<RewardedSequence[]> {
    if (this.reference === null) return [...sequences];
    const logs = await this.reference.logProbabilities(sequences, this.options.hyperparameters.temperature);
    let m = 0;
    return sequences.map((s) => {
      const referenceLogProbabilities = logs.slice(m, m + s.completion.length);
      m += s.completion.length;
      return { ...s, referenceLogProbabilities };
    });
  }

  private async validate(step: number): Promise<ValidationReport> {
    const samples = this.options.hyperparameters.eval_samples;
    const rollout = await this.rollOut(this.validation, samples, STREAM.validation, step);
    failOnBrokenGrader(rollout, step);
    return { metrics: rolloutMetrics(rollout.groups), graderErrors: rollout.errors };
  }

  async snapshot(): Promise<SnapshotFile[]> {
    const { policy } = this;
    const trained = await policy.trainedWeights();
    const moments = (await this.engine.get(momentNames(Object.keys(policy.trainable)))) as Weights;
    return snapshotFiles(this.model, await policy.mergedWeights(), {
      trained,
      moments,
      identity: this.identity,
      batchSize: this.options.hyperparameters.batch_size,
      progress: this.progress,
    });
  }

  async close(): Promise<void> {
    await this.engine.close();
  }
}

function updateMetrics(update: UpdateReport | null): Record<string, number> {
  if (update === null) return { updated: 0 };
  if (!update.applied) return { updated: 0, skipped_updates: 1 };
  return {
    updated: 1,
    loss: update.loss,
    kl: update.kl,
    entropy: update.entropy,
    grad_norm: update.gradientNorm,
    clip_ratio_low: update.clipRatioLow,
    clip_ratio_high: update.clipRatioHigh,
  };
}

function failOnBrokenGrader(rollout: Rollout, step: number): void {
  const failed = Object.values(rollout.errors).reduce((a, b) => a + b, 0);
  const all = rollout.groups.reduce((n, group) => n + group.length, 0);
  if (failed <= all * GRADER_ERROR_LIMIT) return;
  const first = rollout.errorMessages.map((m) => `\n- ${m}`).join('');
  throw new GradersFailedError(`the grader failed on ${failed} of ${all} completions of step ${step}:${first}`);
}

const skippedMessage = (step: number, { loss, gradientNorm }: UpdateReport): string =>
  `Step ${step} made no update: its loss is ${loss} and its gradient's norm ${gradientNorm}`;

function diverged(times: number, step: number): TrainerInputError {
  return new TrainerInputError(
    'training_diverged',
    'method.reinforcement.hyperparameters.learning_rate',
    `loss or gradient was no finite number ${times} times in a row, the last at step ${step}; lower learning_rate or ` +
      'optimizer.max_grad_norm, or raise warmup_steps',
  );
}

function loraOptions({ trainable, lora }: TrainerHyperparameters): LoraOptions | null {
  if (trainable === 'full') return null;
  return { rank: lora.rank, alpha: lora.alpha, rslora: lora.rslora, targetModules: lora.target_modules };
}

/** @throws TrainerInputError for modules that the model has not */
function policyOf(model: ModelFolder, engine: Engine, options: ConstructorParameters<typeof Policy>[2]): Policy {
  try {
    return new Policy(model.config, engine, options);
  } catch (error) {
    if (!(error instanceof LoraTargetError)) throw error;
    const param = 'method.reinforcement.hyperparameters.lora.target_modules';
    throw new TrainerInputError('invalid_hyperparameter', param, error.message);
  }
}
