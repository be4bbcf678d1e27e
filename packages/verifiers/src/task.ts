import type { Item, ItemProblem } from './grader.js';

/** `full` explains everything to a general model; `compact` holds only what varies, for small trained models. */
export type PromptStyle = 'full' | 'compact';

/** What a verifier finds in one answer. */
export interface Assessment {
  /** canonical key; null when the answer cannot be read */
  readonly key: string | null;
  /** in the admissible set */
  readonly valid: boolean;
  /** what the answer earns; at least 0, and 0 unless it is valid */
  readonly reward: number;
  /** whether the key enters uniqueness: parsed answers do, and some tasks also ask that they lie in the space */
  readonly countsForUniqueness: boolean;
  /** the answer itself in canonical form, of tasks whose keys may be coarser than that */
  readonly answer?: string;
}

/** The part of a task that grading needs; it reads the instance from a row's fields. */
export interface GradableTask {
  readonly name: string;
  /** fields of the instance that the row lacks or has in a wrong form; [] when there is an instance */
  checkItem(item: Item): ItemProblem[];
  /**
   * Does what takes long about an answer in another thread, so that `assess` finds it done and answers at once. Of tasks that need
   * it; without it `assess` says the same, but its caller waits.
   */
  prepare?(text: string, item: Item): Promise<void>;
  /** @param item one that `checkItem` accepts */
  assess(text: string, item: Item): Assessment;
}

/** One line of a training file: a conversation plus the fields of the instance. */
export type Row<Instance> = { messages: { role: 'user'; content: string }[] } & Instance;

/** Options of every generator; each task adds its own. */
export interface GenerateOptions {
  /** how many, drawn without replacement; all of them, in order, when absent */
  readonly count?: number;
  /** of the draw: same seed, same instances in the same order. @defaultValue 0 */
  readonly seed?: number;
  /** @defaultValue 'compact' */
  readonly style?: PromptStyle;
}

/**
 * Problems with many right answers whose admissible set is known exactly.
 *
 * For every instance and member k of `admissibleSet`: `key(parse(render(k)))` is k, and `verify` accepts it.
 */
export interface Task<Instance extends object, Hypothesis, Options extends GenerateOptions> extends GradableTask {
  /** @throws TypeError naming the first problem */
  readInstance(item: Item): Instance;
  /** @throws RangeError for options that describe no instance, or too many to list */
  instances(options?: Options): Instance[];
  /** `instances` with their prompts */
  generate(options?: Options): Row<Instance>[];
  prompt(instance: Instance, style: PromptStyle): string;
  /** null when the text holds no answer that can be read */
  parse(text: string, instance: Instance): Hypothesis | null;
  verify(hypothesis: Hypothesis, instance: Instance): boolean;
  key(hypothesis: Hypothesis): string;
  /** The canonical answer text. @throws RangeError for a key that is not canonical */
  render(answer: Hypothesis | string, instance: Instance): string;
  /** keys in code unit order. @throws RangeError for over a million of them */
  admissibleSet(instance: Instance): string[];
  admissibleCount(instance: Instance): number;
  /**
   * What each member of the admissible set earns, by key in code unit order: the target of training is in proportion to it.
   *
   * @throws RangeError for over a million of them
   */
  rewards(instance: Instance): ReadonlyMap<string, number>;
  /** Figures of the task's own about N ≥ 1 answers to one instance, beside those that every task has. */
  ownMetrics?(answers: readonly Assessment[], instance: Instance): Readonly<Record<string, number>>;
}

/** Of a task whose right answers all earn 1. */
export function equalRewards(admissible: readonly string[]): ReadonlyMap<string, number> {
  return new Map(admissible.map((key) => [key, 1]));
}

/** An answer that could not be read. */
export const UNREAD: Assessment = { key: null, valid: false, reward: 0, countsForUniqueness: false };

/** An answer of a task whose right answers all earn 1. */
export function rightOrWrong(key: string, valid: boolean, countsForUniqueness = true): Assessment {
  return { key, valid, reward: valid ? 1 : 0, countsForUniqueness };
}
