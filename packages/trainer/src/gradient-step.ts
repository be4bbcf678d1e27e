import {
  type AdamWOptions,
  adamW,
  compileGraph,
  type Feed,
  type Fetch,
  float32,
  input,
  type Session,
  type Tensor,
  type Value,
} from '@polymode/autodiff';
import { type GroupShape, type PackedGroups, type Policy, packGroups } from '@polymode/policy';
import { trainingBytes } from './memory.js';
import { type MicroBatch, microBatches } from './micro-batches.js';
import type { TokenLoss, TrainingSequence } from './token-loss.js';
import { ACCUMULATED, GRADIENT, type TrainingShape, trainingGraph } from './training-graph.js';

export interface StepResult {
  readonly loss: number;
  /** norm of the whole gradient before clipping */
  readonly gradientNorm: number;
  /** per sequence, per completion token, before the update */
  readonly logProbabilities: readonly Float32Array[];
  readonly entropies: readonly Float32Array[];
}

/** Names of the engine's variables that belong to the optimizer. */
export const MOMENT1 = 'moment1/';
export const MOMENT2 = 'moment2/';
const VALUE = 'value/';

const BETA1 = 0.9;
const BETA2 = 0.999;

export interface GradientStepOptions {
  /** of AdamW; its decays are fixed here */
  readonly optimizer?: Omit<AdamWOptions, 'beta1' | 'beta2'>;
  /** Bytes that one forward and backward pass may need; a larger step is summed from several. @defaultValue 2 GiB */
  readonly passBytes?: number;
}

const DEFAULT_PASS_BYTES = 2 * 2 ** 30;

/** Bytes of logits that are there at a time. */
const LOGIT_BYTES = 64 * 2 ** 20;

/** Compiled passes that are kept; the one that was not used for longest goes first. */
const SESSIONS_KEPT = 12;

/** The gradient of a loss and the AdamW step that follows, on a policy's weights inside its engine. */
export class GradientStep {
  private readonly sessions = new Map<string, Promise<Session>>();
  private optimizer: Promise<Session> | null = null;
  private readonly names: readonly string[];
  private readonly passBytes: number;

  constructor(
    private readonly policy: Policy,
    private readonly options: GradientStepOptions = {},
  ) {
    this.names = Object.keys(policy.trainable);
    this.passBytes = options.passBytes ?? DEFAULT_PASS_BYTES;
  }

  /** Zero moments, as before the first update. */
  async resetMoments(): Promise<void> {
    const values: Record<string, Value> = {};
    for (const [name, shape] of Object.entries(this.policy.trainable)) {
      const count = shape.reduce((a, b) => a * b, 1);
      values[MOMENT1 + name] = float32(new Float32Array(count), shape);
      values[MOMENT2 + name] = float32(new Float32Array(count), shape);
    }
    await this.policy.engine.set(values);
  }

  /**
   * One optimizer step.
   *
   * @param sequences at least one, in the order in which their gradients are summed
   * @param perStep the loss's values that all tokens share
   * @param updateNumber how many updates there will have been, this one included (AdamW's t)
   * @param temperature of the log-probabilities
   */
  async run(
    loss: TokenLoss,
    sequences: readonly TrainingSequence[],
    perStep: Readonly<Record<string, number>>,
    updateNumber: number,
    learningRate: number,
    temperature: number,
  ): Promise<StepResult> {
    const result = { loss: 0, logProbabilities: [] as Float32Array[], entropies: [] as Float32Array[] };
    const scalars: Record<string, Value> = { temperature: float32([temperature], []) };
    for (const [name, value] of Object.entries(perStep)) scalars[name] = float32([value], []);

    const fits = (shape: GroupShape, groups: number): boolean =>
      trainingBytes(this.policy, shape, groups) <= this.passBytes;
    for (const [i, pass] of microBatches(sequences, fits).entries()) {
      const out = await this.runPass(loss, pass, scalars, i > 0);
      result.loss += Number(out.loss!.data[0]);
      result.logProbabilities.push(...perSequence(pass.sequences, out.log_probabilities!));
      result.entropies.push(...perSequence(pass.sequences, out.entropies!));
    }
    return { ...result, gradientNorm: await this.applyAdamW(updateNumber, learningRate) };
  }

  private async runPass(
    loss: TokenLoss,
    { groups, sequences, shape }: MicroBatch,
    scalars: Readonly<Record<string, Value>>,
    accumulate: boolean,
  ): Promise<Record<string, Value>> {
    const packed = packGroups(groups, this.policy.paddingToken, shape);
    const chunkRows = Math.max(16, Math.floor(LOGIT_BYTES / (4 * this.policy.config.vocabSize)));
    const chunks = Math.ceil(packed.count / chunkRows);
    const session = await this.session(loss, { ...shape, chunks, chunkRows, accumulate });
    const accumulated = accumulate
      ? this.names.map((n): [string, Feed] => [ACCUMULATED + n, { variable: GRADIENT + n }])
      : [];
    return session.run(
      {
        ...this.policy.weightFeeds(),
        ...Object.fromEntries(accumulated),
        ...tokenFeeds(packed),
        ...flatten(sequences),
        ...scalars,
      },
      {
        loss: 'return',
        log_probabilities: 'return',
        entropies: 'return',
        ...Object.fromEntries(this.names.map((n): [string, Fetch] => [GRADIENT + n, { variable: GRADIENT + n }])),
      },
    );
  }

  private async session(loss: TokenLoss, shape: TrainingShape): Promise<Session> {
    const { promptLength, completionLength, groupSize, chunks, accumulate } = shape;
    const key = [loss.name, promptLength, completionLength, groupSize, chunks, accumulate].join();
    const known = this.sessions.get(key);
    this.sessions.delete(key); // and set again: the last one in the map is the one used last
    const session =
      known ??
      this.policy.engine.compile(
        compileGraph(trainingGraph(this.policy, loss, shape), this.policy.engine.profile),
        this.names.map((n) => GRADIENT + n),
      );
    this.sessions.set(key, session);
    if (this.sessions.size > SESSIONS_KEPT) {
      const [oldest, stale] = this.sessions.entries().next().value!;
      this.sessions.delete(oldest);
      await (await stale).release();
    }
    return session;
  }

  private async applyAdamW(updateNumber: number, learningRate: number): Promise<number> {
    this.optimizer ??= this.compileOptimizer();
    const session = await this.optimizer;
    const feeds: Record<string, Feed> = {
      learning_rate: float32([learningRate], []),
      correction1: float32([1 - BETA1 ** updateNumber], []),
      correction2: float32([1 - BETA2 ** updateNumber], []),
    };
    const fetches: Record<string, Fetch> = { gradient_norm: 'return' };
    for (const name of this.names) {
      const [value, gradient] = [{ variable: this.policy.prefix + name }, { variable: GRADIENT + name }];
      const [moment1, moment2] = [{ variable: MOMENT1 + name }, { variable: MOMENT2 + name }];
      Object.assign(feeds, {
        [VALUE + name]: value,
        [GRADIENT + name]: gradient,
        [MOMENT1 + name]: moment1,
        [MOMENT2 + name]: moment2,
      });
      Object.assign(fetches, { [VALUE + name]: value, [MOMENT1 + name]: moment1, [MOMENT2 + name]: moment2 });
    }
    const out = await session.run(feeds, fetches);
    return Number(out.gradient_norm!.data[0]);
  }

  private compileOptimizer(): Promise<Session> {
    const parameters = Object.entries(this.policy.trainable).map(([name, shape]) => ({
      name,
      value: input(VALUE + name, 'float32', shape),
      gradient: input(GRADIENT + name, 'float32', shape),
      moment1: input(MOMENT1 + name, 'float32', shape),
      moment2: input(MOMENT2 + name, 'float32', shape),
    }));
    const scalar = (name: string): Tensor => input(name, 'float32', []);
    const update = adamW(parameters, scalar('learning_rate'), scalar('correction1'), scalar('correction2'), {
      ...this.options.optimizer,
      beta1: BETA1,
      beta2: BETA2,
    });
    const kept: Record<string, Tensor> = {};
    for (const [i, { name }] of parameters.entries()) {
      const updated = update.parameters[i]!;
      kept[VALUE + name] = updated.value;
      kept[MOMENT1 + name] = updated.moment1;
      kept[MOMENT2 + name] = updated.moment2;
    }
    const graph = compileGraph({ gradient_norm: update.gradientNorm, ...kept }, this.policy.engine.profile);
    return this.policy.engine.compile(graph, Object.keys(kept));
  }
}

function tokenFeeds({ tokens, positions, lengths, at, targets }: PackedGroups): Record<string, Value> {
  return { tokens, positions, lengths, at, targets };
}

/** Each per-token series of the sequences, one after the other: [M]. */
function flatten(sequences: readonly TrainingSequence[]): Record<string, Value> {
  const count = sequences.reduce((n, s) => n + s.completion.length, 0);
  const feeds: Record<string, Value> = {};
  for (const name of Object.keys(sequences[0]!.perToken)) {
    const joined = new Float32Array(count);
    let m = 0;
    for (const s of sequences) {
      joined.set(s.perToken[name]!, m);
      m += s.completion.length;
    }
    feeds[name] = float32(joined, [count]);
  }
  return feeds;
}

function perSequence(sequences: readonly TrainingSequence[], flat: Value): Float32Array[] {
  let m = 0;
  return sequences.map((s) => {
    const own = (flat.data as Float32Array).subarray(m, m + s.completion.length);
    m += s.completion.length;
    return own;
  });
}
