import { objectives } from '@polymode/objectives';
import { uniforms } from '@polymode/policy';
import { TrainerInputError } from './errors.js';
import { type JobParts, JobTrainer } from './job-trainer.js';
import { type JobDemand, reinforcementDemand } from './memory-demand.js';
import { average, rolloutMetrics } from './metrics.js';
import { encodeRows, type Prompt } from './prompts.js';
import { failOnBrokenGrader, type Graded, type Rollout, rollOut } from './rollout.js';
import { type RewardedSequence, surrogateUpdate, type UpdateReport } from './surrogate-update.js';
import type {
  GradedGroup,
  ReinforcementHyperparameters,
  ReinforcementOptions,
  StepReport,
  TrainRow,
  ValidationReport,
} from './types.js';

/** Which random numbers a draw uses: training and validation never share any. */
const STREAM = { train: 0, validation: 1 } as const;

/** Reinforcement: groups of completions are sampled, graded, and weighed against each other. */
export class ReinforcementTrainer extends JobTrainer<TrainRow, ReinforcementHyperparameters> {
  readonly warnings = [];
  private readonly train: readonly Prompt[];
  private readonly validation: readonly Prompt[];

  /** @throws TrainerInputError naming the lines whose prompts are too long */
  constructor(
    protected override readonly options: ReinforcementOptions,
    parts: JobParts,
  ) {
    super('reinforcement', options, parts, options.hyperparameters.kl_coefficient > 0);
    const { tokenizer, model } = parts;
    const limit = model.config.maxPositionEmbeddings - options.hyperparameters.max_completion_tokens;
    this.train = encodeRows(tokenizer, options.trainRows, limit, 'training_file');
    this.validation = encodeRows(tokenizer, options.validationRows, limit, 'validation_file');
    if (this.train.length === 0) {
      throw new TrainerInputError('invalid_n_examples', 'training_file', 'Training file has 0 example(s)');
    }
  }

  protected sampleTokens(): readonly number[] {
    const { tokens } = this.train[0]!;
    return [...tokens, this.tokenizer.stopTokens[0]!];
  }

  protected memoryDemand(): JobDemand {
    const length = ({ tokens }: Prompt): number => tokens.length;
    return reinforcementDemand(this.train.map(length), this.validation.map(length), this.options.hyperparameters);
  }

  async runStep(): Promise<StepReport> {
    const { hyperparameters: h } = this.options;
    const started = performance.now();
    const step = this.step + 1;
    const rows = this.nextRows(this.train.length);
    const prompts = rows.map((row) => this.train[row]!);
    const rollout = await this.rollOut(prompts, h.group_size, STREAM.train, step);
    failOnBrokenGrader(rollout, step, this.options.grading);

    const trainingStarted = performance.now();
    const { groups, sequences, advantageMetrics } = this.computeAdvantages(rollout, prompts, rows);
    const { learningRate } = this.learner;
    let update: UpdateReport | null = null;
    if (sequences.length > 0) {
      update = await surrogateUpdate(
        this.learner.gradientStep,
        await this.withReference(sequences),
        this.learner.progress.updates + 1,
        {
          learningRate,
          clipEpsilon: h.clip_epsilon,
          klCoefficient: h.kl_coefficient,
          temperature: h.temperature,
        },
      );
    }
    const report = this.report(this.learner.advance(update, update?.tokens ?? 0, learningRate));
    const trainingTime = (performance.now() - trainingStarted) / 1000;

    const evalStarted = performance.now();
    const validation = this.validationIsDue ? await this.validate(step) : undefined;
    return {
      ...report,
      metrics: {
        ...rolloutMetrics(rollout.groups),
        ...advantageMetrics,
        ...surrogateMetrics(update),
        ...report.metrics,
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
    const { hyperparameters: h, seed } = this.options;
    return rollOut(
      this.policy,
      this.options,
      prompts,
      groupSize,
      (prompt, sample) =>
        uniforms({ seed, stream, step, row: prompt * groupSize + sample, count: h.max_completion_tokens }),
      {
        maxTokens: h.max_completion_tokens,
        temperature: h.temperature,
        topK: h.top_k,
        topP: h.top_p,
        minP: h.min_p,
        repetitionPenalty: h.repetition_penalty,
        presencePenalty: h.presence_penalty,
        stopStrings: h.stop,
        decode: (tokens) => this.tokenizer.decode(tokens),
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
    const { reference } = this.learner;
    if (reference === null) return [...sequences];
    const logs = await reference.logProbabilities(sequences, this.options.hyperparameters.temperature);
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
    failOnBrokenGrader(rollout, step, this.options.grading);
    return { metrics: rolloutMetrics(rollout.groups), graderErrors: rollout.errors };
  }
}

function surrogateMetrics(update: UpdateReport | null): Record<string, number> {
  if (update === null || !update.applied) return {};
  return {
    kl: update.kl,
    entropy: update.entropy,
    clip_ratio_low: update.clipRatioLow,
    clip_ratio_high: update.clipRatioHigh,
  };
}
