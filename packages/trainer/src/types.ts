import type { ExecutionProvider } from '@polymode/autodiff';
import type { ChatMessage, ExportFormat, ExportReport } from '@polymode/policy';
import type { Grader, Outcome, TokenUsage } from '@polymode/verifiers';
import type { MemoryPlan } from './memory-plan.js';
import type { Schedule } from './schedule.js';

/** One line of a training file. Reinforcement: the conversation, and whatever else graders read as `item`. */
export interface TrainRow {
  readonly messages: readonly ChatMessage[];
  readonly tools?: readonly unknown[] | null;
  readonly [key: string]: unknown;
}

/** A message of a conversation as chat templates read it. */
export interface Message extends ChatMessage {
  /** 0 for an answer that is not to be learned. @defaultValue 1 */
  readonly weight?: number;
}

/** One line of a supervised training file: a conversation whose answers are learned, or a text and how it goes on. */
export type SupervisedRow =
  | {
      readonly messages: readonly Message[];
      readonly tools?: readonly unknown[] | null;
      /** what `tools` were before */
      readonly functions?: readonly unknown[] | null;
    }
  | { readonly prompt: string; readonly completion: string };

/** One line of a preference file: two answers to the same conversation. */
export interface PreferenceRow {
  readonly input: { readonly messages: readonly Message[]; readonly tools?: readonly unknown[] | null };
  readonly preferred_output: readonly Message[];
  readonly non_preferred_output: readonly Message[];
}

/** Settings that every method has. Names are those of the API's `method.….hyperparameters`, here and below. */
export interface LearnerHyperparameters extends Schedule {
  /** rows a step */
  readonly batch_size: number;
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
  /** steps between validations */
  readonly eval_interval: number;
  /** MiB that training may take; null for as much as there is */
  readonly memory_budget_mb: number | null;
}

export interface ReinforcementHyperparameters extends LearnerHyperparameters {
  readonly algorithm: 'ips-grpo' | 'grpo';
  /** G, completions a prompt */
  readonly group_size: number;
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
  /** ε of the clipped surrogate */
  readonly clip_epsilon: number;
  readonly ips: { readonly exponent: number; readonly epsilon: number };
  /** completions a validation row */
  readonly eval_samples: number;
}

export interface PreferenceHyperparameters extends LearnerHyperparameters {
  /** β of DPO (arXiv:2305.18290): how much a preference weighs against leaving the base model */
  readonly beta: number;
}

/** What every method's job is made of. */
export interface JobOptions<Row, Hyperparameters> {
  /** the base model: a folder in Hugging Face layout or a GGUF file, and what it is called */
  readonly model: { readonly path: string; readonly name: string };
  readonly trainRows: readonly Row[];
  readonly validationRows: readonly Row[];
  readonly hyperparameters: Hyperparameters;
  readonly seed: number;
  /** @defaultValue 'cpu' */
  readonly device?: ExecutionProvider;
  /** which of several CUDA devices @defaultValue 0 */
  readonly deviceId?: number;
  /** threads of the engine; the last bits of the result depend on it, as sums are split among them. @defaultValue 1 */
  readonly threads?: number;
  /** files of an earlier snapshot of the same job, by path */
  readonly resumeFrom?: ReadonlyMap<string, Uint8Array>;
  /** files of a snapshot of another job on the same base model, by path: what it had trained is where this one begins */
  readonly startFrom?: ReadonlyMap<string, Uint8Array>;
}

/** How completions are graded. */
export interface GradingSettings {
  /** what counts as the same answer @defaultValue the grader's own */
  readonly outcome?: Outcome;
  /** milliseconds that one grade may take, waiting included @defaultValue 300000 */
  readonly timeoutMs?: number;
  /** share of a step's completions that the grader may fail on before the job fails @defaultValue 0.1 */
  readonly maxErrorShare?: number;
}

export interface ReinforcementOptions extends JobOptions<TrainRow, ReinforcementHyperparameters> {
  readonly method: 'reinforcement';
  readonly grader: Grader;
  readonly grading?: GradingSettings;
  /** JSON Schema of the completions: no token that would break it is drawn. @defaultValue any text */
  readonly completionSchema?: Readonly<Record<string, unknown>>;
}
export interface SupervisedOptions extends JobOptions<SupervisedRow, LearnerHyperparameters> {
  readonly method: 'supervised';
}
export interface PreferenceOptions extends JobOptions<PreferenceRow, PreferenceHyperparameters> {
  readonly method: 'dpo';
}
export type TrainerOptions = ReinforcementOptions | SupervisedOptions | PreferenceOptions;

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

/**
 * Grader errors by kind: failures, which are no zeros, as such completions are left out of everything; and answers that
 * the grader could not read, which earn 0.
 */
export type GraderErrors = Readonly<Record<string, number>>;

/** What grading a set of completions came to beside grades. */
export interface GradingTally {
  /** that were to be graded */
  readonly completions: number;
  /** of a grader made of several: which part the errors are of, by its key; in an answer the first that was met */
  readonly partErrors: Readonly<Record<string, GraderErrors>>;
  /** what judges were asked, by their model */
  readonly usage: Readonly<Record<string, TokenUsage>>;
}

export interface ValidationReport {
  readonly metrics: Readonly<Record<string, number>>;
  readonly graderErrors: GraderErrors;
  /** of reinforcement */
  readonly grading?: GradingTally;
}

export interface StepReport {
  readonly step: number;
  readonly totalSteps: number;
  /** figures that depend on (options, step) only; names are listed in the README */
  readonly metrics: Readonly<Record<string, number>>;
  /** of a reinforcement step; empty else */
  readonly groups: readonly GradedGroup[];
  readonly graderErrors: GraderErrors;
  /** of reinforcement */
  readonly grading?: GradingTally;
  /** what the job's owner should know beside the figures, a sentence each */
  readonly warnings: readonly string[];
  readonly validation?: ValidationReport;
  /** seconds: sampling and grading (reinforcement), training, eval, full_iteration; the only part that varies between runs */
  readonly timing: Readonly<Record<string, number>>;
}

/** A file of a snapshot. Its bytes are made while they are read: no step may be made in between. */
export interface SnapshotFile {
  readonly path: string;
  chunks(): AsyncIterable<Uint8Array>;
}

export type { ExportFormat, ExportReport } from '@polymode/policy';

export interface CheckpointExport {
  readonly format: ExportFormat;
  readonly ggufType: 'F16' | 'Q8_0';
}

/**
 * A job in progress. A step is a pure function of (options, state after the step before): same inputs,
 * same bytes, on one kind of processor with one number of threads. Calls must not overlap.
 */
export interface Trainer {
  /** steps done */
  readonly step: number;
  readonly totalSteps: number;
  /** completion tokens that entered a gradient so far */
  readonly trainedTokens: number;
  /** what the job's owner should know before it begins, a sentence each */
  readonly warnings: readonly string[];
  /** How much memory the job takes at its fullest, and what for. */
  planMemory(): MemoryPlan;
  /** One optimizer step, and validation when it is due. @throws GradersFailedError, EngineError */
  runStep(): Promise<StepReport>;
  /** What the job can be resumed from at the current step: files `state/…`, sorted by path. */
  snapshot(): SnapshotFile[];
  /**
   * Writes the policy at the current step to `<folder>/<format>/…`, and reads it back.
   *
   * @throws ExportError when it does not read back as the policy
   */
  export(folder: string, as: CheckpointExport): Promise<ExportReport>;
  /** What exports are checked by: a prompt, and the policy's logits [T, V] at each of its tokens. */
  exportedLogits(): Promise<{ readonly tokens: readonly number[]; readonly logits: Float32Array }>;
  close(): Promise<void>;
}
