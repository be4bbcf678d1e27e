import {
  compileGraph,
  type Engine,
  type Feed,
  float32,
  frozen,
  input,
  int32,
  type Session,
  type Tensor,
  type Value,
} from '@polymode/autodiff';
import { positionRows, roundedLength, type Sequence } from './batch.js';
import type { ModelConfig } from './config.js';
import { parameterShapes } from './families/index.js';
import { adapterShapes, type LoraOptions, loraScale, mergeAdapter } from './lora.js';
import { type SamplingMode, samplerGraph } from './sampler.js';
import { scoreCompletions } from './scoring.js';
import { parameterInputs } from './transformer/inputs.js';
import { LORA_SCALE, type ParameterTensors } from './transformer/parameters.js';

/** Weights by Hugging Face parameter name. */
export type Weights = Readonly<Record<string, { readonly shape: readonly number[]; readonly data: Float32Array }>>;

export interface SamplingOptions {
  /** Most tokens of a completion, the stop token included; at least 1. */
  readonly maxTokens: number;
  /** Logits are divided by this; 0 takes the likeliest token. @defaultValue 1 */
  readonly temperature?: number;
  /** Draw from the smallest set of tokens that holds this share of probability. @defaultValue 1 */
  readonly topP?: number;
  /** Draw from the k likeliest tokens; 0 for all. @defaultValue 0 */
  readonly topK?: number;
  /** A completion ends with (and contains) the first of these. */
  readonly stopTokens: readonly number[];
}

export interface Completion {
  readonly tokens: readonly number[];
  /** log-probability of each token, in nats, under the whole distribution at the sampling temperature */
  readonly logProbabilities: Float32Array;
  /** 'stop' when a stop token ended it, 'length' when maxTokens did */
  readonly finishReason: 'stop' | 'length';
}

/** The random numbers of completion `sample` of prompt `prompt`: at least maxTokens values in (0, 1). */
export type UniformSource = (prompt: number, sample: number) => Float32Array;

/** Rows that one run of the sampler may hold; more are drawn in several runs, with the same result. */
const SAMPLER_ROWS = 256;

export interface PolicyOptions {
  /** variables of the engine are named this + parameter name; two policies of one engine differ by it */
  readonly prefix?: string;
  /** written into unused positions; any valid token */
  readonly paddingToken: number;
  /** trains an adapter and leaves the model's own weights as they are; without it all weights are trained */
  readonly lora?: LoraOptions;
}

/**
 * A transformer whose weights are variables of an engine. With an adapter its own weights never change: graphs that
 * sample hold a prepacked copy of them.
 */
export class Policy {
  /** parameters that training moves, by name, with their shapes */
  readonly trainable: Readonly<Record<string, readonly number[]>>;
  readonly prefix: string;
  readonly paddingToken: number;
  readonly lora: LoraOptions | null;
  private readonly sessions = new Map<string, Promise<Session>>();

  /** @throws LoraTargetError */
  constructor(
    readonly config: ModelConfig,
    readonly engine: Engine,
    options: PolicyOptions,
  ) {
    this.prefix = options.prefix ?? '';
    this.paddingToken = options.paddingToken;
    this.lora = options.lora ?? null;
    this.trainable = this.lora === null ? parameterShapes(config) : adapterShapes(config, this.lora);
  }

  /** The same model without the adapter, on the same variables: what training began with. */
  withoutAdapter(): Policy {
    return new Policy(this.config, this.engine, { prefix: this.prefix, paddingToken: this.paddingToken });
  }

  /**
   * Sets every weight of the model itself.
   *
   * @throws Error naming a parameter that is missing, unknown or of another shape
   */
  async setWeights(weights: Weights): Promise<void> {
    await this.engine.set(this.checked(parameterShapes(this.config), weights));
  }

  /** The same without a copy: the buffers move into the engine, and the caller's arrays are empty after. */
  async moveWeights(weights: Weights): Promise<void> {
    await this.engine.move(this.checked(parameterShapes(this.config), weights));
  }

  /** Sets the adapter. @throws Error as `setWeights` does */
  async setAdapter(adapter: Weights): Promise<void> {
    if (this.lora === null) throw new Error('this policy has no adapter');
    await this.engine.set(this.checked(this.trainable, adapter));
  }

  /** Values of the engine's variables, by their names there. */
  private checked(shapes: Readonly<Record<string, readonly number[]>>, weights: Weights): Record<string, Value> {
    const values: Record<string, Value> = {};
    for (const [name, shape] of Object.entries(shapes)) {
      const weight = weights[name];
      if (weight === undefined) throw new Error(`the weights lack ${name}`);
      if (weight.shape.join() !== shape.join()) {
        throw new Error(`${name} has shape [${weight.shape}], but the config asks for [${shape}]`);
      }
      values[this.prefix + name] = float32(weight.data, shape);
    }
    const unknown = Object.keys(weights).find((name) => shapes[name] === undefined && name !== 'lm_head.weight');
    if (unknown !== undefined) throw new Error(`the weights have ${unknown}, which a model of this config has not`);
    return values;
  }

  /** A copy of every weight of the model itself. */
  async weights(): Promise<Weights> {
    return this.variables(Object.keys(parameterShapes(this.config)));
  }

  /** A copy of everything that training moves. */
  async trainedWeights(): Promise<Weights> {
    return this.variables(Object.keys(this.trainable));
  }

  /** What the policy amounts to as a model without an adapter. */
  async mergedWeights(): Promise<Weights> {
    const base = await this.weights();
    return this.lora === null ? base : mergeAdapter(this.config, this.lora, base, await this.trainedWeights());
  }

  private async variables(names: readonly string[]): Promise<Weights> {
    const values = await this.engine.get(names.map((name) => this.prefix + name));
    return Object.fromEntries(
      names.map((name) => {
        const { shape, data } = values[this.prefix + name]!;
        return [name, { shape, data: data as Float32Array }];
      }),
    );
  }

  /** Every parameter as a graph input, for graphs over many rows at a time. */
  parameterInputs(): ParameterTensors {
    return { ...parameterInputs(this.config), ...this.adapterInputs() };
  }

  /**
   * The same with the model's own weights stored in the session where they do not change: about twice as fast where
   * rows are few, for a copy of them a session.
   */
  parametersForDecoding(): ParameterTensors {
    if (this.lora === null) return this.parameterInputs();
    const own = Object.entries(parameterShapes(this.config)).map(([name, shape]): [string, Tensor] => [
      name,
      frozen(name, 'float32', shape),
    ]);
    return { ...Object.fromEntries(own), ...this.adapterInputs() };
  }

  private adapterInputs(): ParameterTensors {
    if (this.lora === null) return {};
    const tensors: Record<string, Tensor> = { [LORA_SCALE]: input(LORA_SCALE, 'float32', []) };
    for (const [name, shape] of Object.entries(this.trainable)) tensors[name] = input(name, 'float32', shape);
    return tensors;
  }

  /** Feeds for `parameterInputs`; what a graph does not read is left out by the engine. */
  weightFeeds(): Record<string, Feed> {
    const names = new Set([...Object.keys(parameterShapes(this.config)), ...Object.keys(this.trainable)]);
    const feeds: Record<string, Feed> = {};
    for (const name of names) feeds[name] = { variable: this.prefix + name };
    if (this.lora !== null) feeds[LORA_SCALE] = float32([loraScale(this.lora)], []);
    return feeds;
  }

  /**
   * Draws `groupSize` completions of each prompt. A completion depends on its prompt, its random numbers and the
   * options only, never on what else is in the batch.
   *
   * @returns completions[prompt][sample]
   * @throws RangeError when a prompt is empty or does not leave room for maxTokens in the context
   */
  async sample(
    prompts: readonly (readonly number[])[],
    groupSize: number,
    uniforms: UniformSource,
    options: SamplingOptions,
  ): Promise<Completion[][]> {
    const promptsPerRun = Math.max(1, Math.floor(SAMPLER_ROWS / groupSize));
    const completions: Completion[][] = [];
    for (let from = 0; from < prompts.length; from += promptsPerRun) {
      const part = prompts.slice(from, from + promptsPerRun);
      completions.push(...(await this.sampleRun(part, groupSize, (p, s) => uniforms(from + p, s), options)));
    }
    return completions;
  }

  private async sampleRun(
    prompts: readonly (readonly number[])[],
    groupSize: number,
    uniforms: UniformSource,
    options: SamplingOptions,
  ): Promise<Completion[][]> {
    const { maxTokens, temperature = 1, topP = 1, topK = 0, stopTokens } = options;
    const longest = Math.max(...prompts.map((p) => p.length));
    if (prompts.some((p) => p.length === 0)) throw new RangeError('a prompt has no tokens');
    if (longest + maxTokens > this.config.maxPositionEmbeddings) {
      throw new RangeError(
        `a prompt of ${longest} tokens and ${maxTokens} more do not fit the context of ${this.config.maxPositionEmbeddings}`,
      );
    }
    const promptLength = roundedLength(longest);
    const mode: SamplingMode = temperature === 0 ? 'greedy' : topP < 1 || topK > 0 ? 'filtered' : 'full';
    const session = await this.session(`sample ${promptLength} ${maxTokens} ${groupSize} ${mode}`, () =>
      samplerGraph(this.config, this.parametersForDecoding(), {
        promptLength,
        completionLength: maxTokens,
        groupSize,
        mode,
      }),
    );

    const rows = prompts.length * groupSize;
    const tokens = new Int32Array(prompts.length * promptLength).fill(this.paddingToken);
    for (const [n, prompt] of prompts.entries()) tokens.set(prompt, n * promptLength);
    const random = new Float32Array(maxTokens * rows);
    for (let row = 0; row < rows; row++) {
      const own = uniforms(Math.floor(row / groupSize), row % groupSize);
      for (let c = 0; c < maxTokens; c++) random[c * rows + row] = own[c]!;
    }
    const rowPrompt = Int32Array.from({ length: rows }, (_, row) => Math.floor(row / groupSize));
    const feeds: Record<string, Value> = {
      tokens: int32(tokens, [prompts.length, promptLength]),
      positions: positionRows(prompts.length, promptLength),
      last: int32(
        prompts.map((p, n) => n * promptLength + p.length - 1),
        [prompts.length],
      ),
      lengths: int32(
        prompts.map((p) => p.length),
        [prompts.length],
      ),
      row_lengths: int32(
        rowPrompt.map((n) => prompts[n]!.length),
        [rows],
      ),
      prompt_of_row: int32(rowPrompt, [rows]),
      uniforms: float32(random, [maxTokens, rows]),
      rounds: { dtype: 'int64', shape: [], data: BigInt64Array.of(BigInt(maxTokens)) },
      stop: int32(stopTokens, [stopTokens.length]),
      padding: int32([this.paddingToken], [1]),
      temperature: float32([mode === 'greedy' ? 1 : temperature], []),
      top_p: float32([topP], []),
      top_k: float32([topK === 0 ? this.config.vocabSize : topK], []),
    };
    const out = await session.run(
      { ...this.weightFeeds(), ...feeds },
      { tokens: 'return', log_probabilities: 'return' },
    );
    return collect(out.tokens!, out.log_probabilities!, prompts.length, groupSize, new Set(stopTokens));
  }

  /**
   * Teacher-forced log-probability of every completion token, sequence after sequence. Sequences next to each other that
   * share a prompt share its computation.
   *
   * @returns [M], in nats
   */
  async logProbabilities(sequences: readonly Sequence[], temperature: number): Promise<Float32Array> {
    return scoreCompletions(this, sequences, temperature, (key, build) => this.session(key, build));
  }

  private session(key: string, build: () => Record<string, Tensor>): Promise<Session> {
    let session = this.sessions.get(key);
    if (session === undefined) {
      const graph = compileGraph(build(), this.engine.profile);
      const stored = Object.fromEntries(graph.frozen.map(({ name }) => [name, this.prefix + name]));
      session = this.engine.compile(graph, [], stored);
      this.sessions.set(key, session);
    }
    return session;
  }
}

/** Cuts each row after its first stop token. @param tokens [rounds, B] @param logs [rounds, B] */
function collect(
  tokens: Value,
  logs: Value,
  prompts: number,
  groupSize: number,
  stops: ReadonlySet<number>,
): Completion[][] {
  const [rounds, rows] = tokens.shape as [number, number];
  const complete = (row: number): Completion => {
    const own: number[] = [];
    const ownLogs: number[] = [];
    for (let c = 0; c < rounds; c++) {
      const token = Number(tokens.data[c * rows + row]);
      own.push(token);
      ownLogs.push(Number(logs.data[c * rows + row]));
      if (stops.has(token)) break;
    }
    return {
      tokens: own,
      logProbabilities: Float32Array.from(ownLogs),
      finishReason: stops.has(own[own.length - 1]!) ? 'stop' : 'length',
    };
  };
  return Array.from({ length: prompts }, (_, n) =>
    Array.from({ length: groupSize }, (_, g) => complete(n * groupSize + g)),
  );
}
