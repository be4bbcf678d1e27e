import { totalmem } from 'node:os';
import { type GroupShape, groupShape, type LoraOptions, Policy, samplingBytes } from '@polymode/policy';
import { TrainerInputError } from './errors.js';
import { fixedBytes, type MemoryEstimate, PassBytes, totalOf } from './memory.js';
import type { TokenLoss } from './token-loss.js';

/** What a step samples: groups of completions of some prompts. */
export interface GroupSampling {
  readonly prompts: number;
  readonly groupSize: number;
  /** tokens of the longest prompt, and of completions at most */
  readonly promptLength: number;
  readonly completionLength: number;
}

/** What a job asks of memory. */
export interface MemoryDemand {
  readonly policy: Policy;
  readonly loss: TokenLoss;
  /** whether the reference is a model of its own */
  readonly secondModel: boolean;
  /** null for methods that sample nothing */
  readonly sampling: GroupSampling | null;
  /** tokens of the longest prompt and the longest completion of a gradient */
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** completions that share a prompt, and how many such groups a step has */
  readonly groupSize: number;
  readonly groups: number;
}

/** How a job uses the memory that it may have. */
export interface MemoryPlan {
  readonly estimate: MemoryEstimate;
  /** most that one pass may need: larger steps are summed from several */
  readonly passBytes: number;
  /** most that the passes kept ready may need together */
  readonly sessionBytes: number;
}

/** Of a pass where no budget is given: a fixed size, so that a job sums its gradients alike wherever it is resumed. */
const PASS_BYTES = 2 * 2 ** 30;
const SESSION_BYTES = 3 * PASS_BYTES;

/** The share of a machine's memory that a job may count on. */
const MACHINE_SHARE = 0.95;

const MIB = 2 ** 20;

/** Bytes that this process may have: the machine's, or what its container is given. */
export function machineBytes(): number {
  const constrained = process.constrainedMemory?.() ?? 0;
  const all = totalmem();
  return Math.floor(MACHINE_SHARE * (constrained > 0 && constrained < all ? constrained : all));
}

/**
 * Divides a budget among what a job needs.
 *
 * @param budgetMb MiB that the job asked to stay within; null for the machine's
 * @param machine bytes there are; null where that is not known, as on a GPU
 * @param path what errors call the hyperparameters
 * @throws TrainerInputError when even the smallest pass does not fit, naming what would make it fit
 */
export function planMemory(
  demand: MemoryDemand,
  budgetMb: number | null,
  machine: number | null,
  path: string,
): MemoryPlan {
  const limit = budgetMb === null ? machine : budgetMb * MIB;
  const least = leastOf(demand);
  if (limit !== null && totalOf(least) > limit) throw tooLarge(demand, least, limit, budgetMb !== null, path);

  const rest = totalOf({ ...least, training: 0 });
  const [passBytes, sessionBytes] =
    budgetMb === null
      ? [PASS_BYTES, Math.min(SESSION_BYTES, limit === null ? SESSION_BYTES : Math.max(limit - rest, least.training))]
      : [Math.max((limit! - rest) / 2, least.training), limit! - rest];
  const largest = largestPass(demand, passBytes);
  const estimate = { ...least, training: largest };
  if (limit !== null && totalOf(estimate) > limit) {
    throw new TrainerInputError(
      'insufficient_memory',
      `${path}.memory_budget_mb`,
      `the job would take ${mib(totalOf(estimate))} MiB, and there are ${mib(limit)}; set memory_budget_mb to ` +
        `${Math.floor(limit / MIB)}, and gradients are summed from smaller passes`,
    );
  }
  return { estimate, passBytes, sessionBytes };
}

/** What a job needs at least: passes of one completion each. */
export function leastOf(demand: MemoryDemand): MemoryEstimate {
  const { policy, loss, secondModel, sampling } = demand;
  return {
    ...fixedBytes(policy, secondModel),
    sampling: sampling === null ? 0 : bytesOfSampling(policy, sampling),
    training: new PassBytes(policy, loss).of(shapeOf(demand, 1), 1),
  };
}

function bytesOfSampling(
  { config }: Policy,
  { prompts, groupSize, promptLength, completionLength }: GroupSampling,
): number {
  const rows = prompts * groupSize;
  return samplingBytes(config, { prompts, promptTokens: promptLength, rows, maxTokens: completionLength });
}

function shapeOf({ promptTokens, completionTokens }: MemoryDemand, groupSize: number): GroupShape {
  const [prompt, completion] = [new Array<number>(promptTokens).fill(0), new Array<number>(completionTokens).fill(0)];
  return groupShape([{ prompt, completions: Array.from({ length: groupSize }, () => completion) }]);
}

/** The pass that a step of the longest sequences is summed from. */
function largestPass(demand: MemoryDemand, passBytes: number): number {
  const bytes = new PassBytes(demand.policy, demand.loss);
  for (let groups = demand.groups; groups > 0; groups--) {
    const whole = bytes.of(shapeOf(demand, demand.groupSize), groups);
    if (whole <= passBytes) return whole;
  }
  for (let pieces = 2; pieces < demand.groupSize; pieces++) {
    const piece = bytes.of(shapeOf(demand, Math.ceil(demand.groupSize / pieces)), 1);
    if (piece <= passBytes) return piece;
  }
  return bytes.of(shapeOf(demand, 1), 1);
}

const mib = (bytes: number): string => Math.ceil(bytes / MIB).toLocaleString('en');

function tooLarge(
  demand: MemoryDemand,
  least: MemoryEstimate,
  limit: number,
  isBudget: boolean,
  path: string,
): TrainerInputError {
  const whole = totalOf(least);
  const parts = Object.entries(least)
    .filter(([, bytes]) => bytes > 0)
    .map(([name, bytes]) => `${name} ${mib(bytes)}`);
  const remedies = families(demand).flatMap((family) => {
    const fits = family.find(({ change }) => totalOf(leastOf(change)) <= limit);
    return fits === undefined ? [] : [`${fits.option}, which needs ${mib(totalOf(leastOf(fits.change)))}`];
  });
  if (isBudget) remedies.push(`memory_budget_mb of ${Math.ceil(whole / MIB)}`);
  const advice =
    remedies.length > 0 ? `Set ${remedies.join(', or ')}` : 'Take a smaller model, or a machine with more memory';
  return new TrainerInputError(
    'insufficient_memory',
    `${path}.memory_budget_mb`,
    `the job needs ${mib(whole)} MiB at least (${parts.join(', ')}), and there are ${mib(limit)}. ${advice}.`,
  );
}

/** What a default adapter would be, where all weights are trained. */
const ADAPTER: LoraOptions = { rank: 16, alpha: 32, rslora: false, targetModules: 'all-linear' };

/** A smaller demand, and the option that makes it. */
interface Change {
  readonly option: string;
  readonly change: MemoryDemand;
}

/** Options that lower a demand, each with ever smaller values. */
function families(demand: MemoryDemand): Change[][] {
  const { policy, sampling } = demand;
  const lora = (): Change => ({
    option: "trainable to 'lora'",
    change: {
      ...demand,
      policy: new Policy(policy.config, policy.engine, { paddingToken: policy.paddingToken, lora: ADAPTER }),
      secondModel: false,
    },
  });
  const adapted = policy.lora === null ? [[lora()]] : [];
  if (sampling === null) return adapted;
  return [
    ...adapted,
    halves(sampling.completionLength, 8).map((length) => ({
      option: `max_completion_tokens to ${length}`,
      change: { ...demand, completionTokens: length, sampling: { ...sampling, completionLength: length } },
    })),
    halves(sampling.groupSize, 2).map((size) => ({
      option: `group_size to ${size}`,
      change: { ...demand, groupSize: size, sampling: { ...sampling, groupSize: size } },
    })),
    halves(sampling.prompts, 1).map((prompts) => ({
      option: `batch_size to ${prompts}`,
      change: { ...demand, groups: prompts, sampling: { ...sampling, prompts } },
    })),
  ];
}

/** n/2, n/4, … down to a least. */
function halves(n: number, least: number): number[] {
  const values: number[] = [];
  for (let value = Math.floor(n / 2); value >= least; value = Math.floor(value / 2)) values.push(value);
  return values;
}
