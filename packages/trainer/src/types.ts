import type { ExecutionProvider } from '@polymode/autodiff';
import type { Grader } from '@polymode/verifiers';
import type { Schedule } from './schedule.js';

/** One line of a reinforcement training file: the conversation, and whatever else graders read as `item`. */
export interface TrainRow {
  readonly messages: readonly { readonly role: string; readonly content: unknown }[];
  readonly [field: string]: unknown;
}

/** Resolved settings of a job; names are those of the API's `method.reinforcement.hyperparameters`. */
export interface TrainerHyperparameters extends Schedule {
  readonly algorithm: 'ips-grpo' | 'grpo';
  /** prompts a step */
  readonly batch_size: number;
  /** G, completions a prompt */
  readonly group_size: number;
  /** what learns: an adapter beside the model's own weights, or those */
  readonly trainable: 'lora' | 'full';
  /** read with `trainable: 'lora'` only */
  readonly lora: {
    readonly rank: number;
    readonly alpha: number;
    readonly rslora: boolean;
    readonly target_modules: 'all-linear' | readonly string[];
  };
  /** η of AdamW at its highest */
  readonly learning_rate: number;
  readonly optimizer: {
    /** decoupled; norms and biases are spared */
    readonly weight_decay: number;
    readonly beta1: number;
    readonly beta2: number;
    readonly epsilon: number;
    /** gradients are scaled down to this norm */
    readonly max_grad_norm: number;
  };
  readonly temperature: number;
  readonly top_k: number;
  readonly top_p: number;
  readonly min_p: number;
  readonly repetition_penalty: number;
  readonly presence_penalty: number;
  /** texts that end a completion */
  readonly stop: readonly string[];
  readonly max_completion_tokens: number;
  /** β of the penalty for leaving the base model; 0 keeps no reference */
  readonly kl_coefficient: number;
  readonly clip_epsilon: number;
  readonly ips: { readonly exponent: number; readonly epsilon: number };
  /** steps between validations */
  readonly eval_interval: number;
  /** completions a validation row */
  readonly eval_samples: number;
  /** MiB that training may take; null for as much as there is */
  readonly memory_budget_mb: number | null;
}

export interface TrainerOptions {
  /** folder of the base model, in Hugging Face layout */
  readonly modelDir: string;
  readonly trainRows: readonly TrainRow[];
  readonly validationRows: readonly TrainRow[];
  readonly grader: Grader;
  readonly hyperparameters: TrainerHyperparameters;
  readonly seed: number;
  /** @defaultValue 'cpu' */
  readonly device?: ExecutionProvider;
  /** threads of the engine; the last bits of the result depend on it, as sums are split among them. @defaultValue 1 */
  readonly threads?: number;
  /** files of an earlier snapshot of the same job, by path */
  readonly resumeFrom?: ReadonlyMap<string, Uint8Array>;
}

export interface GradedCompletion {
  readonly text: string;
  readonly tokens: number;
  readonly finishReason: 'stop' | 'length';
  /** null when the grader failed on it */
  readonly reward: number | null;
  readonly outcome: string | null;
  readonly advantage: number;
}

export interface GradedGroup {
  /** index of the training row */
  readonly row: number;
  readonly completions: readonly GradedCompletion[];
  /** false when every scaled reward was equal: the group gave no gradient */
  readonly hasSpread: boolean;
}

/** Grader failures by kind. They are errors, not zeros: such completions are left out of everything. */
export type GraderErrors = Readonly<Record<string, number>>;

export interface ValidationReport {
  readonly metrics: Readonly<Record<string, number>>;
  readonly graderErrors: GraderErrors;
}

export interface StepReport {
  readonly step: number;
  readonly totalSteps: number;
  /** figures that depend on (options, step) only; names are listed in the README */
  readonly metrics: Readonly<Record<string, number>>;
  readonly groups: readonly GradedGroup[];
  readonly graderErrors: GraderErrors;
  /** what the job's owner should know beside the figures, a sentence each */
  readonly warnings: readonly string[];
  readonly validation?: ValidationReport;
  /** seconds: sampling, grading, training, eval, full_iteration; the only part that varies between runs */
  readonly timing: Readonly<Record<string, number>>;
}

export interface SnapshotFile {
  readonly path: string;
  readonly bytes: Uint8Array;
}

/**
 * A reinforcement job in progress. A step is a pure function of (options, state after the step before): same inputs,
 * same bytes, on one kind of processor with one number of threads. Calls must not overlap.
 */
export interface Trainer {
  /** steps done */
  readonly step: number;
  readonly totalSteps: number;
  /** completion tokens that entered a gradient so far */
  readonly trainedTokens: number;
  /** One optimizer step, and validation when it is due. @throws GradersFailedError, EngineError */
  runStep(): Promise<StepReport>;
  /** Files of a checkpoint at the current step, sorted by path: `model/…` in Hugging Face layout, `state/…` to resume. */
  snapshot(): Promise<SnapshotFile[]>;
  close(): Promise<void>;
}
