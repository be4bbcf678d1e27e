import { Engine, float32, type Value } from '@polymode/autodiff';
import { objectives } from '@polymode/objectives';
import {
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
import { type Graded, type Prompt, type Rollout, rollOut } from './rollout.js';
import { type JobIdentity, momentNames, type Progress, readSnapshot, snapshotFiles } from './snapshot.js';
import { type RewardedSequence, surrogateUpdate, type UpdateReport } from './surrogate-update.js';
import type {
  GradedGroup,
  SnapshotFile,
  StepReport,
  Trainer,
  TrainerOptions,
  TrainRow,
  ValidationReport,
} from './types.js';

/** Which random numbers a draw uses: training and validation never share any. */
const STREAM = { train: 0, validation: 1 } as const;

/** A step in which more than this share of completions could not be graded fails the job. */
const GRADER_ERROR_LIMIT = 0.1;

/**
 * The first updates rise linearly to the learning rate, over this many or a tenth of the job: AdamW divides by moments
 * that are then estimates from a few gradients, and full steps by them can break a policy on prompts they never saw.
 */
const WARM_UP_UPDATES = 20;

/**
 * ε of AdamW. With PyTorch's 1e-8 a weight whose gradient is all noise, such as the embedding of a token that the policy
 * is sure of, takes full steps in noise's direction until the policy is sure no more; a policy gradient's weights see
 * 1e-4 and above. Implementations of PPO commonly use 1e-5 too.
 */
const ADAM_EPSILON = 1e-5;

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

/** @param limit tokens that a prompt may have at most */
function encodeRows(tokenizer: Tokenizer, rows: readonly TrainRow[], limit: number, param: string): Prompt[] {
  const prompts = rows.map((row) => ({ row, tokens: tokenizer.encodeChat(row.messages) }));
  const long = prompts.flatMap((p, i) => (p.tokens.length > limit ? [`line ${i + 1} (${p.tokens.length})`] : []));
  if (long.length > 0) {
    const shown = long.slice(0, 10).join(', ') + (long.length > 10 ? `, and ${long.length - 10} more` : '');
    throw new TrainerInputError(
      `invalid_${param}`,
      param,
      `${long.length} prompt(s) are longer than the ${Math.max(limit, 0)} tokens that the model's context leaves beside ` +
        `max_completion_tokens: ${shown}. Shorten them or lower max_completion_tokens.`,
    );
  }
  return prompts;
}

class ReinforcementTrainer implements Trainer {
  private readonly policy: Policy;
  private readonly reference: Policy | null;
  private readonly gradientStep: GradientStep;
  private progress: Progress = { step: 0, updates: 0, trainedTokens: 0, completions: 0, graderErrors: 0 };

  constructor(
    private readonly options: TrainerOptions,
    private readonly model: ModelFolder,
    private readonly tokenizer: Tokenizer,
    private readonly engine: Engine,
    private readonly train: readonly Prompt[],
    private readonly validation: readonly Prompt[],
  ) {
    this.policy = new Policy(model.config, engine, {
      prefix: POLICY_PREFIX,
      paddingToken: tokenizer.paddingToken,
    });
    this.reference =
      options.hyperparameters.kl_coefficient > 0
        ? new Policy(model.config, engine, { prefix: REFERENCE_PREFIX, paddingToken: tokenizer.paddingToken })
        : null;
    this.gradientStep = new GradientStep(this.policy, { optimizer: { epsilon: ADAM_EPSILON } });
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

  private get warmUp(): number {
    return Math.max(1, Math.min(WARM_UP_UPDATES, Math.floor(this.totalSteps / 10)));
  }

  private get identity(): JobIdentity {
    const { seed, hyperparameters, trainRows } = this.options;
    return { seed, hyperparameters, trainRows: trainRows.length };
  }

  async restore(files: ReadonlyMap<string, Uint8Array> | undefined): Promise<void> {
    await this.reference?.setWeights(this.model.weights);
    if (files === undefined) {
      await this.policy.setWeights(this.model.weights);
      await this.gradientStep.resetMoments();
      return;
    }
    const { weights, moments, progress } = readSnapshot(files, this.identity);
    await this.policy.setWeights(weights);
    await this.engine.set(
      Object.fromEntries(
        momentNames(Object.keys(this.policy.trainable)).map((name): [string, Value] => {
          const moment = moments[name];
          if (moment === undefined) throw new TrainerInputError('invalid_snapshot', null, `the snapshot lacks ${name}`);
          return [name, float32(moment.data, moment.shape)];
        }),
      ),
    );
    this.progress = progress;
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
    const learningRate = h.learning_rate * Math.min(1, (this.progress.updates + 1) / this.warmUp);
    let updated: UpdateReport | null = null;
    if (sequences.length > 0) {
      updated = await surrogateUpdate(
        this.gradientStep,
        await this.withReference(sequences),
        this.progress.updates + 1,
        {
          learningRate: h.learning_rate,
          clipEpsilon: h.clip_epsilon,
          klCoefficient: h.kl_coefficient,
          temperature: h.temperature,
        },
      );
      requireFinite(updated, step);
    }
    const trainingTime = (performance.now() - trainingStarted) / 1000;
    this.progress = {
      step,
      updates: this.progress.updates + (updated === null ? 0 : 1),
      trainedTokens: this.progress.trainedTokens + (updated?.tokens ?? 0),
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
    const weights = await this.policy.weights();
    const names = momentNames(Object.keys(this.policy.trainable));
    const moments = (await this.engine.get(names)) as Weights;
    return snapshotFiles(
      this.model,
      weights,
      moments,
      this.identity,
      this.options.hyperparameters.batch_size,
      this.progress,
    );
  }

  async close(): Promise<void> {
    await this.engine.close();
  }
}

function updateMetrics(update: UpdateReport | null): Record<string, number> {
  if (update === null) return { updated: 0 };
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

/** A weight that is no number stays so: better to stop at the step that made it. */
function requireFinite(update: UpdateReport, step: number): void {
  if (Number.isFinite(update.loss) && Number.isFinite(update.gradientNorm)) return;
  throw new TrainerInputError(
    'training_diverged',
    'method.reinforcement.hyperparameters.learning_rate',
    `step ${step} gave a loss of ${update.loss} and a gradient norm of ${update.gradientNorm}; lower the learning rate`,
  );
}
