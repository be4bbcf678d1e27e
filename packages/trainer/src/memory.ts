import { liveBytes } from '@polymode/autodiff';
import { type GroupShape, type ModelConfig, type Policy, parameterShapes, vocabularyChunks } from '@polymode/policy';
import type { TokenLoss } from './token-loss.js';
import { trainingGraph } from './training-graph.js';

/** What a job needs at its fullest, in bytes. The parts are measured to be right together, within a quarter. */
export interface MemoryEstimate {
  /** the process, its code and its libraries */
  readonly process: number;
  /** the model, and the reference where that is a second one */
  readonly weights: number;
  /** gradients and moments of what is trained, and an adapter itself */
  readonly optimizer: number;
  /** the caches and logits of the completions that are sampled together */
  readonly sampling: number;
  /** the largest pass forward and backward */
  readonly training: number;
}

export function totalOf(estimate: MemoryEstimate): number {
  return Object.values(estimate).reduce((a, b) => a + b, 0);
}

const PROCESS = 130 * 2 ** 20;
/** A compiled graph, its constants and what the runtime allocates beside its results. */
const SESSION = 50 * 2 ** 20;
/** The runtime's arena grows in blocks and leaves gaps: over what is alive at once, as measured on graphs of many shapes. */
const ARENA = 1.35;

const sizeOf = (shape: readonly number[]): number => 4 * shape.reduce((a, b) => a * b, 1);
const sum = (sizes: readonly number[]): number => sizes.reduce((a, b) => a + b, 0);

/** Bytes of the model's own weights. */
export function weightBytes(config: ModelConfig): number {
  return sum(Object.values(parameterShapes(config)).map(sizeOf));
}

/** Everything but sampling and passes. @param secondModel whether there is a reference of its own */
export function fixedBytes(
  policy: Policy,
  secondModel: boolean,
): Pick<MemoryEstimate, 'process' | 'weights' | 'optimizer'> {
  const own = weightBytes(policy.config);
  const trained = Object.values(policy.trainable).map(sizeOf);
  return {
    process: PROCESS,
    weights: own * (secondModel ? 2 : 1),
    optimizer:
      policy.lora !== null
        ? 4 * sum(trained)
        : // Gradients of all weights leave the runtime's memory by a copy, and those of the embeddings come in parts.
          4 * sum(trained) + 3 * Math.max(...trained),
  };
}

/** Bytes of passes forward and backward, each shape looked at once. */
export class PassBytes {
  private readonly known = new Map<string, number>();

  constructor(
    private readonly policy: Policy,
    private readonly loss: TokenLoss,
  ) {}

  /** Of so many groups of one shape. Bytes grow with groups in proportion, so two numbers tell all. */
  of(shape: GroupShape, groups: number): number {
    const one = this.exactly(shape, 1);
    return groups === 1 ? one : one + (groups - 1) * (this.exactly(shape, 2) - one);
  }

  private exactly(shape: GroupShape, groups: number): number {
    const { promptLength, completionLength, groupSize } = shape;
    const key = [promptLength, completionLength, groupSize, groups].join();
    let bytes = this.known.get(key);
    if (bytes === undefined) {
      const tokens = groups * groupSize * completionLength;
      const chunks = vocabularyChunks(tokens, this.policy.config.vocabSize);
      const all = { ...shape, ...chunks, accumulate: false };
      const graph = trainingGraph(this.policy, this.loss, all, { groups, tokens });
      bytes = SESSION + ARENA * liveBytes(Object.values(graph));
      this.known.set(key, bytes);
    }
    return bytes;
  }
}
