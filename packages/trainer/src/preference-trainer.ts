import type { Policy, Sequence } from '@polymode/policy';
import { encodePreference } from './conversations.js';
import { TrainerInputError } from './errors.js';
import { ImitationTrainer } from './imitation-trainer.js';
import type { JobParts } from './job-trainer.js';
import { imitationDemand, type JobDemand, lengthsOf } from './memory-demand.js';
import { average } from './metrics.js';
import type {
  PreferenceHyperparameters,
  PreferenceOptions,
  PreferenceRow,
  StepReport,
  ValidationReport,
} from './types.js';

/** Two answers to one prompt, the preferred one first. */
type Pair = readonly [Sequence, Sequence];

/** How much the policy prefers a pair's first answer, more than the reference does: β (Δ log π − Δ log π_ref). */
interface Preference {
  readonly chosen: number;
  readonly rejected: number;
}

/**
 * Direct preference optimisation (arXiv:2305.18290): L = − mean log σ(β (Δ log π − Δ log π_ref)) over pairs of answers.
 *
 * The loss is of whole answers, whose tokens need not fit one pass, so its gradient is taken in two: a pass without
 * gradients gives each answer's log-probability and with it dL/d(log π(answer)) = ∓ β σ(−margin) / pairs, which is then the
 * weight of each of its tokens in a pass with gradients. That is the same gradient, not an estimate.
 */
export class PreferenceTrainer extends ImitationTrainer<PreferenceRow, PreferenceHyperparameters> {
  readonly warnings: readonly string[];
  private readonly train: readonly Pair[];
  private readonly validation: readonly Pair[];

  /** @throws TrainerInputError when no pair fits the context */
  constructor(options: PreferenceOptions, parts: JobParts) {
    super('dpo', options, parts, true);
    const [train, validation] = [
      encodePairs(options.trainRows, 'training file', parts),
      encodePairs(options.validationRows, 'validation file', parts),
    ];
    if (train.pairs.length === 0) {
      throw new TrainerInputError('invalid_training_file', 'training_file', "No example fits the model's context.");
    }
    this.train = train.pairs;
    this.validation = validation.pairs;
    this.warnings = [...train.warnings, ...validation.warnings];
  }

  protected sampleTokens(): readonly number[] {
    const [{ prompt, completion }] = this.train[0]!;
    return [...prompt, ...completion];
  }

  protected memoryDemand(): JobDemand {
    return imitationDemand(this.train.flat().map(lengthsOf), 2, this.options.hyperparameters);
  }

  async runStep(): Promise<StepReport> {
    const started = performance.now();
    const { beta } = this.options.hyperparameters;
    const pairs = this.nextRows(this.train.length).map((row) => this.train[row]!);
    const preferences = await this.preferences(pairs);
    const sequences = pairs.flatMap((pair, i) => {
      const weight = (beta * sigmoid(-marginOf(preferences[i]!))) / pairs.length;
      return pair.map(({ prompt, completion }, k) => ({
        prompt,
        completion,
        perToken: { weights: new Float32Array(completion.length).fill(k === 0 ? weight : -weight) },
      }));
    });
    const update = await this.learn(sequences);
    const { loss, ...others } = preferenceMetrics(preferences);
    const tokens = sequences.reduce((n, s) => n + s.completion.length, 0);
    return this.endStep({ ...update, loss }, tokens, { ...others, train_loss: loss }, started);
  }

  protected async validate(): Promise<ValidationReport> {
    return { metrics: preferenceMetrics(await this.preferences(this.validation)), graderErrors: {} };
  }

  /** Implicit rewards of each pair's answers, β (log π − log π_ref). */
  private async preferences(pairs: readonly Pair[]): Promise<Preference[]> {
    const sequences = pairs.flat();
    const own = await answerLogs(this.policy, sequences);
    const reference = await answerLogs(this.learner.reference!, sequences);
    const { beta } = this.options.hyperparameters;
    const reward = (i: number): number => beta * (own[i]! - reference[i]!);
    return pairs.map((_, i) => ({ chosen: reward(2 * i), rejected: reward(2 * i + 1) }));
  }
}

const marginOf = ({ chosen, rejected }: Preference): number => chosen - rejected;
const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
/** − log σ(x), for x of any size. */
const logisticLoss = (x: number): number => Math.max(-x, 0) + Math.log1p(Math.exp(-Math.abs(x)));

function preferenceMetrics(preferences: readonly Preference[]): Record<'loss', number> & Record<string, number> {
  const margins = preferences.map(marginOf);
  return {
    loss: average(margins.map(logisticLoss)),
    reward_accuracy: average(margins.map((m) => (m > 0 ? 1 : 0))),
    reward_margin: average(margins),
    chosen_reward: average(preferences.map((p) => p.chosen)),
    rejected_reward: average(preferences.map((p) => p.rejected)),
  };
}

/** The log-probability of each whole answer. */
async function answerLogs(policy: Policy, sequences: readonly Sequence[]): Promise<number[]> {
  const logs = await policy.logProbabilities(sequences, 1);
  let m = 0;
  return sequences.map(({ completion }) => {
    let sum = 0;
    for (let c = 0; c < completion.length; c++) sum += logs[m++]!;
    return sum;
  });
}

function encodePairs(
  rows: readonly PreferenceRow[],
  file: string,
  { tokenizer, model }: JobParts,
): { pairs: Pair[]; warnings: string[] } {
  const context = model.config.maxPositionEmbeddings;
  const encoded = rows.map((row) => encodePreference(tokenizer, row, context));
  const pairs = encoded.flatMap(({ pair }) => (pair === null ? [] : [pair]));
  const cut = encoded.filter((e) => e.truncated && e.pair !== null).length;
  const warnings: string[] = [];
  if (cut > 0) warnings.push(`${cut} example(s) of the ${file} are cut to the model's ${context} tokens`);
  if (pairs.length < rows.length) {
    const left = rows.length - pairs.length;
    warnings.push(`${left} example(s) of the ${file} are longer than the model's ${context} tokens and are left out`);
  }
  return { pairs, warnings };
}
