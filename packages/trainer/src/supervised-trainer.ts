import type { ModelConfig } from '@polymode/policy';
import { encodeSupervised, type LearnedSequence } from './conversations.js';
import { TrainerInputError } from './errors.js';
import { ImitationTrainer } from './imitation-trainer.js';
import type { JobParts } from './job-trainer.js';
import { imitationDemand, type JobDemand, lengthsOf } from './memory-demand.js';
import type { TrainingSequence } from './token-loss.js';
import type {
  LearnerHyperparameters,
  StepReport,
  SupervisedOptions,
  SupervisedRow,
  ValidationReport,
} from './types.js';

/** A row with something to learn, in tokens. */
type Example = readonly LearnedSequence[];

/**
 * Supervised fine-tuning: the mean negative log-likelihood of the answers' tokens goes down, every token of a step counting
 * the same.
 */
export class SupervisedTrainer extends ImitationTrainer<SupervisedRow, LearnerHyperparameters> {
  readonly warnings: readonly string[];
  private readonly train: readonly Example[];
  private readonly validation: readonly Example[];

  /** @throws TrainerInputError when no row has anything to learn */
  constructor(options: SupervisedOptions, parts: JobParts) {
    super('supervised', options, parts, false);
    const encode = (rows: readonly SupervisedRow[], param: string) =>
      encodeRows(rows, param, parts, parts.model.config);
    const [train, validation] = [
      encode(options.trainRows, 'training_file'),
      encode(options.validationRows, 'validation_file'),
    ];
    if (train.examples.length === 0) {
      throw new TrainerInputError('invalid_training_file', 'training_file', 'No example has a token to learn.');
    }
    this.train = train.examples;
    this.validation = validation.examples;
    this.warnings = [...train.warnings, ...validation.warnings];
  }

  protected sampleTokens(): readonly number[] {
    const [{ prompt, completion }] = this.train[0] as [LearnedSequence];
    return [...prompt, ...completion];
  }

  protected memoryDemand(): JobDemand {
    return imitationDemand(this.train.flat().map(lengthsOf), 1, this.options.hyperparameters);
  }

  async runStep(): Promise<StepReport> {
    const started = performance.now();
    const rows = this.nextRows(this.train.length);
    const sequences = byLength(rows.flatMap((row) => this.train[row]!));
    const tokens = learnedTokens(sequences);
    const update = await this.learn(sequences.map((s) => weighted(s, 1 / tokens)));
    const correct = countLearned(sequences, (i) => update.reports.matches![i]!);
    const metrics = { train_loss: update.loss, train_mean_token_accuracy: correct / tokens };
    return this.endStep(update, tokens, metrics, started);
  }

  protected async validate(): Promise<ValidationReport> {
    const sequences = byLength(this.validation.flat());
    const { logProbabilities, matches } = await this.policy.score(sequences, ['logProbabilities', 'matches'], 1);
    const tokens = learnedTokens(sequences);
    const parts = (all: Float32Array): ((i: number) => Float32Array) => {
      const ends: number[] = [];
      for (const s of sequences) ends.push((ends.at(-1) ?? 0) + s.completion.length);
      return (i) => all.subarray(ends[i]! - sequences[i]!.completion.length, ends[i]!);
    };
    return {
      metrics: {
        loss: -countLearned(sequences, parts(logProbabilities)) / tokens,
        mean_token_accuracy: countLearned(sequences, parts(matches)) / tokens,
      },
      graderErrors: {},
    };
  }
}

function encodeRows(
  rows: readonly SupervisedRow[],
  param: string,
  { tokenizer }: JobParts,
  { maxPositionEmbeddings: context }: ModelConfig,
): { examples: Example[]; warnings: string[] } {
  const encoded = rows.map((row) => encodeSupervised(tokenizer, row, context));
  const examples = encoded.flatMap(({ sequences }) => (sequences.length > 0 ? [sequences] : []));
  const truncated = encoded.filter((e) => e.truncated).length;
  const file = param.replace('_', ' ');
  const warnings: string[] = [];
  if (truncated > 0) warnings.push(`${truncated} example(s) of the ${file} are cut to the model's ${context} tokens`);
  if (examples.length < rows.length) {
    warnings.push(`${rows.length - examples.length} example(s) of the ${file} have no token to learn and are left out`);
  }
  return { examples, warnings };
}

/** Neighbours of like length are padded least. */
function byLength(sequences: readonly LearnedSequence[]): LearnedSequence[] {
  return [...sequences].sort((a, b) => a.prompt.length - b.prompt.length || a.completion.length - b.completion.length);
}

function learnedTokens(sequences: readonly LearnedSequence[]): number {
  return sequences.reduce((n, s) => n + s.learned.filter(Boolean).length, 0);
}

/** The sum of a figure over the tokens that are learned. @param figure of each token of the i-th sequence's completion */
function countLearned(sequences: readonly LearnedSequence[], figure: (i: number) => Float32Array): number {
  let sum = 0;
  for (const [i, { learned }] of sequences.entries()) {
    const own = figure(i);
    for (const [c, counts] of learned.entries()) if (counts) sum += own[c]!;
  }
  return sum;
}

function weighted({ prompt, completion, learned }: LearnedSequence, weight: number): TrainingSequence {
  return { prompt, completion, perToken: { weights: Float32Array.from(learned, (l) => (l ? weight : 0)) } };
}
