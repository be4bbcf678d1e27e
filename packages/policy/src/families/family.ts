import type { Tensor } from '@polymode/autodiff';
import type { ConfigReader, FamilyName, ModelConfig } from '../config.js';
import type { ParameterTensors } from '../transformer/parameters.js';

/**
 * A model family: how its config reads, what its parameters are called, and its pieces of a pre-norm decoder layer.
 * How sequences attend to each other is no family's business: `transformer/` has that once for all.
 *
 * Axes: `rows` are positions of all sequences one after the other; d hidden size, H heads, K key-value heads, D head size.
 */
export interface Family {
  readonly name: FamilyName;
  /** `architectures` of its causal language model */
  readonly architecture: string;
  /** @throws UnsupportedConfigError for what this family's pieces do not cover */
  parseConfig(reader: ConfigReader): ModelConfig;
  /** Name and shape of every parameter as Hugging Face has them, in a fixed order. */
  parameterShapes(config: ModelConfig): Record<string, number[]>;
  /** The parameter that a tensor of a weights file is; null for one that is none, such as a buffer. */
  parameterName(nameInFile: string): string | null;
  /** The matrices that an adapter may sit on, in a fixed order. */
  linearModules(config: ModelConfig): LinearModule[];
  /** @param tokens int32 [rows] @param positions int32 [rows] @returns [rows, d] */
  embed(config: ModelConfig, parameters: ParameterTensors, tokens: Tensor, positions: Tensor): Tensor;
  layer(config: ModelConfig, parameters: ParameterTensors, index: number): Layer;
  /** @param x [rows, d] */
  finalNorm(config: ModelConfig, parameters: ParameterTensors, x: Tensor): Tensor;
  /** the parameter of shape [V, d] that turns hidden states into logits */
  vocabularyWeight(config: ModelConfig): string;
}

/** The parts of one layer on either side of attention; residual additions are left to the caller. */
export interface Layer {
  /** Normalised and projected, before rotary positions. @param x [rows, d] */
  attentionInput(x: Tensor): {
    /** [rows, H·D] */
    queries: Tensor;
    /** [rows, K·D] */
    keys: Tensor;
    /** [rows, K·D] */
    values: Tensor;
  };
  /** @param mixed [rows, H·D] @returns [rows, d] */
  attentionOutput(mixed: Tensor): Tensor;
  /** @param x [rows, d] @returns [rows, d] */
  feedForward(x: Tensor): Tensor;
}

/** A weight matrix as a module: `name.weight` maps `inputs` to `outputs` features. */
export interface LinearModule {
  /** as Hugging Face names it, without `.weight` */
  readonly name: string;
  readonly inputs: number;
  readonly outputs: number;
  /** how the weight is stored: [out, in] as a Linear does, [in, out] as GPT-2's Conv1D does */
  readonly layout: WeightLayout;
}

export type WeightLayout = 'out×in' | 'in×out';
