import { type Engine, type Feed, float32, input, type Tensor, type Value } from '@polymode/autodiff';
import type { Sequence } from './batch.js';
import type { ModelConfig } from './config.js';
import { parameterShapes } from './families/index.js';
import {
  adapterNames,
  adapterShapes,
  addAdapter,
  type LoraOptions,
  loraModules,
  loraScale,
  mergeAdapter,
} from './lora.js';
import type { Completion, SamplingOptions, UniformSource } from './sampling/options.js';
import { sampleGroups } from './sampling/sample.js';
import { SessionCache } from './sampling/sessions.js';
import { type Scores, scoreCompletions } from './scoring.js';
import { parameterInputs } from './transformer/inputs.js';
import { LORA_SCALE, type ParameterTensors } from './transformer/parameters.js';
import type { TokenStatistics } from './transformer/statistics.js';

export type { Completion, SamplingOptions, UniformSource } from './sampling/options.js';

/** Weights by Hugging Face parameter name. */
export type Weights = Readonly<Record<string, { readonly shape: readonly number[]; readonly data: Float32Array }>>;

export interface PolicyOptions {
  /** variables of the engine are named this + parameter name; two policies of one engine differ by it */
  readonly prefix?: string;
  /** written into unused positions; any valid token */
  readonly paddingToken: number;
  /** trains an adapter and leaves the model's own weights as they are; without it all weights are trained */
  readonly lora?: LoraOptions;
  /**
   * the same for the adapter's variables, so that several adapters stand over one model @defaultValue prefix. Given, the
   * model's own variables count as another policy's.
   */
  readonly adapterPrefix?: string;
  /** compiled graphs to use and add to, of policies on this engine whose model and adapter have the same shapes */
  readonly sessions?: SessionCache;
}

/** A transformer whose weights are variables of an engine. With an adapter its own weights never change. */
export class Policy {
  /** parameters that training moves, by name, with their shapes */
  readonly trainable: Readonly<Record<string, readonly number[]>>;
  readonly prefix: string;
  readonly paddingToken: number;
  readonly lora: LoraOptions | null;
  private readonly adapterPrefix: string;
  private readonly ownsModel: boolean;
  /** for this package's own graphs */
  readonly sessions: SessionCache;

  /** @throws LoraTargetError */
  constructor(
    readonly config: ModelConfig,
    readonly engine: Engine,
    options: PolicyOptions,
  ) {
    this.prefix = options.prefix ?? '';
    this.paddingToken = options.paddingToken;
    this.lora = options.lora ?? null;
    this.adapterPrefix = options.adapterPrefix ?? this.prefix;
    this.ownsModel = options.adapterPrefix === undefined;
    this.trainable = this.lora === null ? parameterShapes(config) : adapterShapes(config, this.lora);
    this.sessions = options.sessions ?? new SessionCache(engine);
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
      values[this.variable(name)] = float32(weight.data, shape);
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

  /** One weight of that. @throws EngineError for an unknown name */
  async mergedWeight(name: string): Promise<Float32Array> {
    const data = (await this.variables([name]))[name]!.data;
    if (this.lora === null) return data;
    const module = loraModules(this.config, this.lora).find((m) => `${m.name}.weight` === name);
    if (module === undefined) return data;
    const { up, down } = adapterNames(module.name);
    const adapter = await this.variables([up, down]);
    addAdapter(data, module, this.lora, adapter[up]!.data, adapter[down]!.data);
    return data;
  }

  /** One variable of the policy, as it is: a parameter of the model, or of the adapter. */
  async weight(name: string): Promise<Float32Array> {
    return (await this.variables([name]))[name]!.data;
  }

  /** Frees its variables in the engine, but for a model that is another policy's. It cannot be used after. */
  async drop(): Promise<void> {
    const own = new Set([
      ...(this.ownsModel ? Object.keys(parameterShapes(this.config)) : []),
      ...(this.lora === null ? [] : Object.keys(this.trainable)),
    ]);
    await this.engine.drop([...own].map((name) => this.variable(name)));
  }

  /** What the engine calls a parameter of the model or of the adapter. */
  private variable(name: string): string {
    return (this.lora !== null && name in this.trainable ? this.adapterPrefix : this.prefix) + name;
  }

  private async variables(names: readonly string[]): Promise<Weights> {
    const values = await this.engine.get(names.map((name) => this.variable(name)));
    return Object.fromEntries(
      names.map((name) => {
        const { shape, data } = values[this.variable(name)]!;
        return [name, { shape, data: data as Float32Array }];
      }),
    );
  }

  /** Every parameter as a graph input. */
  parameterInputs(): ParameterTensors {
    return { ...parameterInputs(this.config), ...this.adapterInputs() };
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
    for (const name of names) feeds[name] = { variable: this.variable(name) };
    if (this.lora !== null) feeds[LORA_SCALE] = float32([loraScale(this.lora)], []);
    return feeds;
  }

  /**
   * Draws `groupSize` completions of each prompt. A completion depends on its prompt, its random numbers and its options
   * only, never on what else is in the batch.
   *
   * @param options of every completion, or of each
   * @returns completions[prompt][sample]
   * @throws RangeError when a prompt is empty or leaves no room for maxTokens in the context, or an option is out of range
   */
  sample(
    prompts: readonly (readonly number[])[],
    groupSize: number,
    uniforms: UniformSource,
    options: SamplingOptions | ((prompt: number, sample: number) => SamplingOptions),
  ): Promise<Completion[][]> {
    return sampleGroups(this, prompts, groupSize, uniforms, options);
  }

  /**
   * Teacher-forced log-probability of every completion token, sequence after sequence. Sequences next to each other that
   * share a prompt share its computation.
   *
   * @returns [M], in nats
   */
  async logProbabilities(sequences: readonly Sequence[], temperature: number): Promise<Float32Array> {
    return (await this.score(sequences, ['logProbabilities'], temperature)).logProbabilities;
  }

  /** The same for other figures of each token; `TokenStatistics` says which there are. */
  score<Name extends keyof TokenStatistics>(
    sequences: readonly Sequence[],
    names: readonly Name[],
    temperature: number,
  ): Promise<Scores<Name>> {
    return scoreCompletions(this, sequences, names, temperature, (key, build) => this.sessions.get(key, build));
  }
}
