import {
  type AdamWOptions,
  adamW,
  add,
  compileGraph,
  type Feed,
  type Fetch,
  float32,
  gradients,
  input,
  type Session,
  type Tensor,
  type Value,
} from '@polymode/autodiff';
import {
  type PackedBatch,
  type Policy,
  packSequences,
  parameterInputs,
  parameterShapes,
  type Sequence,
  type TokenStatistics,
  tokenStatistics,
  trainingInputs,
} from '@polymode/policy';

/** A loss over completion tokens. Its inputs are made on demand, by name: one value a token, or one a step. */
export interface TokenLoss {
  /** Losses with one name have one graph. */
  readonly name: string;
  build(statistics: TokenStatistics, perToken: (name: string) => Tensor, perStep: (name: string) => Tensor): Tensor;
}

/** A completion and what the loss reads about each of its tokens: name → one value a completion token. */
export interface TrainingSequence extends Sequence {
  readonly perToken: Readonly<Record<string, Float32Array>>;
}

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
const GRADIENT = 'gradient/';
const ACCUMULATED = 'accumulated/';
const VALUE = 'value/';

const BETA1 = 0.9;
const BETA2 = 0.999;

/** Padded tokens that one forward and backward pass may hold; a larger step is summed from several, in a fixed order. */
const TOKENS_PER_PASS = 8192;

/** The gradient of a loss and the AdamW step that follows, on a policy's weights inside its engine. */
export class GradientStep {
  private readonly backward = new Map<string, Promise<Session>>();
  private optimizer: Promise<Session> | null = null;
  private readonly names: readonly string[];

  /** @param optimizerOptions of AdamW; its decays are fixed here */
  constructor(
    private readonly policy: Policy,
    private readonly optimizerOptions: Omit<AdamWOptions, 'beta1' | 'beta2'> = {},
  ) {
    this.names = policy.parameterNames;
  }

  /** Zero moments, as before the first update. */
  async resetMoments(): Promise<void> {
    const values: Record<string, Value> = {};
    for (const [name, shape] of Object.entries(parameterShapes(this.policy.config))) {
      const n = shape.reduce((a, b) => a * b, 1);
      values[MOMENT1 + name] = float32(new Float32Array(n), shape);
      values[MOMENT2 + name] = float32(new Float32Array(n), shape);
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

    for (const [i, pass] of inPasses(sequences).entries()) {
      const batch = packSequences(pass, this.policy.paddingToken);
      const session = await this.backwardSession(loss, batch.length, i > 0);
      const out = await session.run(
        {
          ...this.policy.weightFeeds(),
          ...this.accumulated(i > 0),
          ...tokenFeeds(batch),
          ...flatten(pass),
          ...scalars,
        },
        {
          loss: 'return',
          log_probabilities: 'return',
          entropies: 'return',
          ...Object.fromEntries(this.names.map((n): [string, Fetch] => [GRADIENT + n, { variable: GRADIENT + n }])),
        },
      );
      result.loss += Number(out.loss!.data[0]);
      result.logProbabilities.push(...perSequence(pass, out.log_probabilities!));
      result.entropies.push(...perSequence(pass, out.entropies!));
    }
    return { ...result, gradientNorm: await this.applyAdamW(updateNumber, learningRate) };
  }

  private accumulated(active: boolean): Record<string, Feed> {
    if (!active) return {};
    return Object.fromEntries(this.names.map((n) => [ACCUMULATED + n, { variable: GRADIENT + n }]));
  }

  private backwardSession(loss: TokenLoss, length: number, accumulate: boolean): Promise<Session> {
    const key = `${loss.name} ${length} ${accumulate}`;
    let session = this.backward.get(key);
    if (session === undefined) {
      const outputs = backwardGraph(this.policy, loss, length, accumulate);
      const kept = this.names.map((n) => GRADIENT + n);
      session = this.policy.engine.compile(compileGraph(outputs, this.policy.engine.profile), kept);
      this.backward.set(key, session);
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
    const parameters = Object.entries(parameterShapes(this.policy.config)).map(([name, shape]) => ({
      name,
      value: input(VALUE + name, 'float32', shape),
      gradient: input(GRADIENT + name, 'float32', shape),
      moment1: input(MOMENT1 + name, 'float32', shape),
      moment2: input(MOMENT2 + name, 'float32', shape),
    }));
    const scalar = (name: string): Tensor => input(name, 'float32', []);
    const update = adamW(parameters, scalar('learning_rate'), scalar('correction1'), scalar('correction2'), {
      ...this.optimizerOptions,
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

/** Loss, per-token figures and the gradient of every parameter (plus what was accumulated before). */
function backwardGraph(policy: Policy, loss: TokenLoss, length: number, accumulate: boolean): Record<string, Tensor> {
  const parameters = parameterInputs(policy.config);
  const { tokens, positions, at, targets, temperature } = trainingInputs(length);
  const statistics = tokenStatistics(policy.config, parameters, tokens, positions, at, targets, temperature);
  const value = loss.build(
    statistics,
    (name) => input(name, 'float32', ['M']),
    (name) => input(name, 'float32', []),
  );
  const flowing = gradients(value, Object.values(parameters));
  const outputs: Record<string, Tensor> = {
    loss: value,
    log_probabilities: statistics.logProbabilities,
    entropies: statistics.entropies,
  };
  for (const [i, name] of Object.keys(parameters).entries()) {
    const gradient = flowing[i]!;
    outputs[GRADIENT + name] = accumulate
      ? add(input(ACCUMULATED + name, 'float32', gradient.shape), gradient)
      : gradient;
  }
  return outputs;
}

function inPasses(sequences: readonly TrainingSequence[]): TrainingSequence[][] {
  const passes: TrainingSequence[][] = [];
  let longest = 0;
  for (const sequence of sequences) {
    const length = sequence.prompt.length + sequence.completion.length;
    const current = passes[passes.length - 1];
    if (current !== undefined && (current.length + 1) * Math.max(longest, length) <= TOKENS_PER_PASS) {
      current.push(sequence);
      longest = Math.max(longest, length);
    } else {
      passes.push([sequence]);
      longest = length;
    }
  }
  return passes;
}

function tokenFeeds({ tokens, positions, at, targets }: PackedBatch): Record<string, Value> {
  return { tokens, positions, at, targets };
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
