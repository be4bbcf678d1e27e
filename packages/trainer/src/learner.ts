import { isDeepStrictEqual } from 'node:util';
import { type Engine, float32, type Value } from '@polymode/autodiff';
import {
  initialAdapter,
  type LoraOptions,
  LoraTargetError,
  type ModelFolder,
  mergeAdapter,
  Policy,
  type PolicyOptions,
  type Weights,
} from '@polymode/policy';
import { TrainerInputError } from './errors.js';
import { GradientStep, type StepResult } from './gradient-step.js';
import { learningRateShare } from './schedule.js';
import { momentNames, type Progress, type SavedState, type SnapshotSource, type StartingPoint } from './snapshot.js';
import type { LearnerHyperparameters } from './types.js';

const POLICY_PREFIX = 'policy/';
const REFERENCE_PREFIX = 'reference/';

/** So many updates in a row that were no numbers end the job: the policy would not come back by itself. */
const SKIPPED_UPDATES_LIMIT = 3;

export interface LearnerOptions {
  readonly hyperparameters: LearnerHyperparameters;
  /** what errors call them */
  readonly path: string;
  readonly paddingToken: number;
  readonly seed: number;
  /** whether the policy before training is needed too */
  readonly reference: boolean;
}

/** What a step did, as far as every method reports it. */
export interface LearnerReport {
  readonly metrics: Readonly<Record<string, number>>;
  readonly warnings: readonly string[];
}

/**
 * What all methods share: the policy, what it was before training, its optimizer and schedule, and how far they are. Methods
 * add the loss and where its sequences come from.
 */
export class Learner {
  readonly policy: Policy;
  /** the policy before training; null when nobody asked for it */
  readonly reference: Policy | null;
  readonly gradientStep: GradientStep;
  progress: Progress = { step: 0, updates: 0, skippedInARow: 0, trainedTokens: 0 };

  /** @throws TrainerInputError for modules that the model has not */
  constructor(
    readonly config: ModelFolder['config'],
    readonly engine: Engine,
    private readonly options: LearnerOptions,
  ) {
    const { hyperparameters: h, path, paddingToken } = options;
    const lora = loraOptions(h);
    this.policy = policyOf(config, engine, { prefix: POLICY_PREFIX, paddingToken, ...(lora && { lora }) }, path);
    this.reference = options.reference ? this.referencePolicy() : null;
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

  /** Whether the reference has weights of its own. */
  get hasSecondModel(): boolean {
    return this.reference !== null && this.reference.prefix !== this.policy.prefix;
  }

  /** Its own base where that stays as it is, or a second set of weights. */
  private referencePolicy(): Policy {
    if (this.policy.lora !== null) return this.policy.withoutAdapter();
    return new Policy(this.config, this.engine, {
      prefix: REFERENCE_PREFIX,
      paddingToken: this.options.paddingToken,
    });
  }

  /**
   * Puts the policy where a job begins, or where it was saved.
   *
   * @param weights of the base model; their buffers move into the engine
   * @param start what another job had trained; null to begin with the base model. The reference of an adapter stays the base
   *   model, that of full training is where it begins.
   */
  async restore(weights: Weights, start: StartingPoint | null, saved: SavedState | null): Promise<void> {
    const { policy, reference, engine } = this;
    if (start !== null) weights = await this.startingWeights(weights, start);
    if (reference !== null && this.hasSecondModel) await reference.setWeights(weights);
    if (policy.lora === null) {
      await policy.moveWeights(saved?.trained ?? weights);
    } else {
      await policy.moveWeights(weights);
      const begun = start?.trained ?? initialAdapter(this.config, policy.lora, this.options.seed);
      await policy.setAdapter(saved?.trained ?? begun);
    }
    await this.gradientStep.allocate();
    if (saved === null) return;
    await engine.move(
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

  /** Weights that a job which starts from another begins with, beside the adapter that goes on. */
  private async startingWeights(base: Weights, { trained, lora }: StartingPoint): Promise<Weights> {
    const continued = this.policy.lora;
    if (lora === null) {
      if (continued === null) return trained;
      throw new TrainerInputError(
        'invalid_hyperparameter',
        `${this.options.path}.trainable`,
        "the checkpoint to start from was trained in all its weights, so it goes on with 'full'",
      );
    }
    const options = adapterOptions(lora);
    if (continued === null) return mergeAdapter(this.config, options, base, trained);
    if (isDeepStrictEqual(options, continued)) return base;
    throw new TrainerInputError(
      'invalid_hyperparameter',
      `${this.options.path}.lora`,
      `the adapter to start from was made with ${JSON.stringify(lora)} and goes on as such`,
    );
  }

  /** η of the next update. */
  get learningRate(): number {
    const { hyperparameters: h } = this.options;
    return h.learning_rate * learningRateShare(h, this.progress.updates + 1, this.progress.step + 1);
  }

  /**
   * Counts a step, whose update has been tried.
   *
   * @param update null when there was nothing to learn from
   * @param tokens that its gradient is summed over
   * @returns what every method reports of it
   * @throws TrainerInputError when loss or gradient was no number too often
   */
  advance(update: StepResult | null, tokens: number, learningRate: number): LearnerReport {
    const step = this.progress.step + 1;
    const applied = update?.applied === true;
    const skipped = update?.applied === false;
    const skippedInARow = skipped ? this.progress.skippedInARow + 1 : applied ? 0 : this.progress.skippedInARow;
    if (skippedInARow >= SKIPPED_UPDATES_LIMIT) throw diverged(skippedInARow, step, this.options.path);
    this.progress = {
      step,
      updates: this.progress.updates + (applied ? 1 : 0),
      skippedInARow,
      trainedTokens: this.progress.trainedTokens + (applied ? tokens : 0),
    };
    return {
      metrics: {
        updated: applied ? 1 : 0,
        ...(applied ? { loss: update.loss, grad_norm: update.gradientNorm } : {}),
        ...(skipped ? { skipped_updates: 1 } : {}),
        learning_rate: learningRate,
        trained_tokens: this.progress.trainedTokens,
      },
      warnings: skipped
        ? [`Step ${step} made no update: its loss is ${update.loss} and its gradient's norm ${update.gradientNorm}`]
        : [],
    };
  }

  /** What a snapshot is made of. */
  get snapshot(): SnapshotSource {
    const { policy, engine, progress } = this;
    const read = async (name: string): Promise<Float32Array> => {
      if (name in policy.trainable) return policy.weight(name);
      return (await engine.get([name]))[name]!.data as Float32Array;
    };
    return { trainable: policy.trainable, read, progress };
  }
}

function diverged(times: number, step: number, path: string): TrainerInputError {
  return new TrainerInputError(
    'training_diverged',
    `${path}.learning_rate`,
    `loss or gradient was no finite number ${times} times in a row, the last at step ${step}; lower learning_rate or ` +
      'optimizer.max_grad_norm, or raise warmup_steps',
  );
}

function loraOptions({ trainable, lora }: LearnerHyperparameters): LoraOptions | null {
  return trainable === 'full' ? null : adapterOptions(lora);
}

/** An adapter's settings as the policy has them. */
export function adapterOptions(lora: LearnerHyperparameters['lora']): LoraOptions {
  return { rank: lora.rank, alpha: lora.alpha, rslora: lora.rslora, targetModules: lora.target_modules };
}

function policyOf(config: ModelFolder['config'], engine: Engine, options: PolicyOptions, path: string): Policy {
  try {
    return new Policy(config, engine, options);
  } catch (error) {
    if (!(error instanceof LoraTargetError)) throw error;
    throw new TrainerInputError('invalid_hyperparameter', `${path}.lora.target_modules`, error.message);
  }
}
