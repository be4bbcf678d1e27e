import { setImmediate as nextTurn } from 'node:timers/promises';
import { Engine, type ExecutionProvider } from '@polymode/autodiff';
import { readModelDescription, type Tokenizer, tokenizerOf } from '@polymode/policy';
import { encodePreference, encodeSupervised } from './conversations.js';
import { TrainerInputError } from './errors.js';
import { Learner } from './learner.js';
import { type MemoryEstimate, totalOf } from './memory.js';
import {
  imitationDemand,
  type JobDemand,
  lengthsOf,
  reinforcementDemand,
  type SequenceLengths,
} from './memory-demand.js';
import { leastOf, machineBytes, planMemory } from './memory-plan.js';
import { encodePrompt } from './prompts.js';
import type {
  LearnerHyperparameters,
  PreferenceRow,
  ReinforcementHyperparameters,
  SupervisedRow,
  TrainRow,
} from './types.js';

/** What a job will be, as far as its tokens and its memory depend on it. */
export type InspectOptions = {
  /** a folder in Hugging Face layout or a GGUF file */
  readonly modelPath: string;
  /** @defaultValue 'cpu' */
  readonly device?: ExecutionProvider;
  /** ends it early */
  readonly signal?: AbortSignal;
} & (
  | Inspected<'reinforcement', TrainRow, ReinforcementHyperparameters>
  | Inspected<'supervised', SupervisedRow, LearnerHyperparameters>
  | Inspected<'dpo', PreferenceRow, LearnerHyperparameters>
);

interface Inspected<Method, Row, Hyperparameters> {
  readonly method: Method;
  readonly hyperparameters: Hyperparameters;
  readonly trainRows: AsyncIterable<Row>;
  /** null where there is no file */
  readonly validationRows: AsyncIterable<Row> | null;
}

/** A file's rows, in order. */
export interface InspectedFile {
  /** tokens of each row: of reinforcement rows the prompt, of others the longest sequence that they come to */
  readonly tokens: readonly number[];
  /** indices of rows that have more than there is room for */
  readonly beyond: readonly number[];
}

export interface Inspection {
  /** tokens that a row may have */
  readonly room: number;
  readonly training: InspectedFile;
  readonly validation: InspectedFile | null;
  /** of the rows that fit */
  readonly memory: MemoryEstimate;
  readonly totalBytes: number;
  /** what the job may take here; null where that is not known */
  readonly limitBytes: number | null;
  /** why the job would not run here, and what to change */
  readonly problems: readonly string[];
}

/** Milliseconds of work between two looks at what else this thread is to do. */
const SLICE_MS = 20;

/**
 * What a job comes to in tokens and memory, found as its trainer would find it, without reading weights or running anything.
 *
 * @throws TrainerInputError for settings that the model does not take
 * @throws UnsupportedConfigError for a model that this engine cannot run
 */
export async function inspectJob(options: InspectOptions): Promise<Inspection> {
  const { config, otherFiles } = await readModelDescription(options.modelPath);
  const tokenizer = await tokenizerOf(otherFiles);
  const context = config.maxPositionEmbeddings;
  const counted = await countRows(options, tokenizer, context);
  const { room, training, validation, demand } = counted;

  const engine = new Engine({ provider: options.device ?? 'cpu' });
  try {
    const path = `method.${options.method}.hyperparameters`;
    const { hyperparameters } = options;
    const learner = new Learner(config, engine, {
      hyperparameters,
      path,
      paddingToken: tokenizer.paddingToken,
      seed: 0,
      reference:
        options.method === 'dpo' || (options.method === 'reinforcement' && options.hyperparameters.kl_coefficient > 0),
    });
    const whole = { ...demand, policy: learner.policy, secondModel: learner.hasSecondModel };
    const machine = engine.provider === 'cpu' ? machineBytes() : null;
    const budget = hyperparameters.memory_budget_mb;
    const found = planned(whole, budget, machine, path);
    return {
      room,
      training,
      validation,
      memory: found.estimate,
      totalBytes: totalOf(found.estimate),
      limitBytes: budget === null ? machine : budget * 2 ** 20,
      problems: found.problem === null ? [] : [found.problem],
    };
  } finally {
    await engine.close();
  }
}

function planned(...[demand, budget, machine, path]: Parameters<typeof planMemory>): {
  estimate: MemoryEstimate;
  problem: string | null;
} {
  try {
    return { estimate: planMemory(demand, budget, machine, path).estimate, problem: null };
  } catch (error) {
    if (!(error instanceof TrainerInputError)) throw error;
    return { estimate: leastOf(demand), problem: error.message };
  }
}

interface Counted {
  readonly room: number;
  readonly training: InspectedFile;
  readonly validation: InspectedFile | null;
  readonly demand: JobDemand;
}

async function countRows(options: InspectOptions, tokenizer: Tokenizer, context: number): Promise<Counted> {
  const { signal } = options;
  switch (options.method) {
    case 'reinforcement': {
      const { hyperparameters: h } = options;
      const room = context - h.max_completion_tokens;
      const length = (row: TrainRow): number => encodePrompt(tokenizer, row).length;
      const training = await inspected(options.trainRows, length, room, signal);
      const validation = options.validationRows && (await inspected(options.validationRows, length, room, signal));
      const fitting = ({ tokens }: InspectedFile): number[] => tokens.filter((count) => count <= room);
      const demand = reinforcementDemand(fitting(training), validation === null ? [] : fitting(validation), h);
      return { room, training, validation, demand };
    }
    case 'supervised':
      return countImitation(options, context, 1, (row, limit) => encodeSupervised(tokenizer, row, limit).sequences);
    case 'dpo':
      return countImitation(options, context, 2, (row, limit) => encodePreference(tokenizer, row, limit).pair ?? []);
  }
}

type Sequences = readonly { readonly prompt: readonly number[]; readonly completion: readonly number[] }[];

/** @param encode what a row comes to where sequences end at a limit */
async function countImitation<Row>(
  options: Inspected<unknown, Row, LearnerHyperparameters> & Pick<InspectOptions, 'signal'>,
  context: number,
  groupSize: 1 | 2,
  encode: (row: Row, limit: number) => Sequences,
): Promise<Counted> {
  // The last token is predicted, never read: it may stand just behind the context.
  const room = context + 1;
  const learned: SequenceLengths[] = [];
  const of = (row: Row, keep: boolean): number => {
    const lengths = encode(row, Number.POSITIVE_INFINITY).map(lengthsOf);
    const longest = lengths.reduce((most, { prompt, completion }) => Math.max(most, prompt + completion), 0);
    if (keep) learned.push(...(longest > room ? encode(row, context).map(lengthsOf) : lengths));
    return longest;
  };
  const { trainRows, validationRows, signal } = options;
  const training = await inspected(trainRows, (row) => of(row, true), room, signal);
  const validation = validationRows && (await inspected(validationRows, (row) => of(row, false), room, signal));
  return { room, training, validation, demand: imitationDemand(learned, groupSize, options.hyperparameters) };
}

async function inspected<Row>(
  rows: AsyncIterable<Row>,
  lengthOf: (row: Row) => number,
  room: number,
  signal: AbortSignal | undefined,
): Promise<InspectedFile> {
  const tokens: number[] = [];
  let since = performance.now();
  for await (const row of rows) {
    tokens.push(lengthOf(row));
    if (performance.now() - since < SLICE_MS) continue;
    await nextTurn();
    signal?.throwIfAborted();
    since = performance.now();
  }
  return { tokens, beyond: tokens.flatMap((count, i) => (count > room ? [i] : [])) };
}
