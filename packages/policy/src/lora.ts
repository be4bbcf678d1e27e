import { setImmediate } from 'node:timers/promises';
import type { ModelConfig } from './config.js';
import type { LinearModule } from './families/family.js';
import { familyOf } from './families/index.js';
import type { Weights } from './policy.js';
import { uniforms } from './random.js';

/** Low-rank adaptation (arXiv:2106.09685): W + s·B·A, with W as it was and A, B trained. */
export interface LoraOptions {
  /** r ≥ 1: rows of A, columns of B */
  readonly rank: number;
  /** s = α / r, or α / √r with `rslora` */
  readonly alpha: number;
  /** rank-stabilised scale (arXiv:2312.03732) */
  readonly rslora: boolean;
  /** last parts of module names, as in `q_proj`; or every linear module but the vocabulary's */
  readonly targetModules: readonly string[] | 'all-linear';
}

/** No module of the model has a name that was asked for. */
export class LoraTargetError extends Error {
  override name = 'LoraTargetError';
}

/** s, what an adapter's output is multiplied with. */
export function loraScale({ rank, alpha, rslora }: LoraOptions): number {
  return alpha / (rslora ? Math.sqrt(rank) : rank);
}

export const adapterNames = (module: string): { down: string; up: string } => ({
  down: `${module}.lora_A.weight`,
  up: `${module}.lora_B.weight`,
});

/**
 * The modules that get an adapter, in the model's order.
 *
 * @throws LoraTargetError for a name that no module ends with, listing those there are
 */
export function loraModules(config: ModelConfig, options: LoraOptions): LinearModule[] {
  const modules = familyOf(config).linearModules(config);
  const { targetModules } = options;
  if (targetModules === 'all-linear') return modules;
  const fits = ({ name }: LinearModule, target: string): boolean => name === target || name.endsWith(`.${target}`);
  for (const target of targetModules) {
    if (modules.some((m) => fits(m, target))) continue;
    const known = [...new Set(modules.map((m) => m.name.split('.').at(-1)))].join(', ');
    throw new LoraTargetError(`no module of this model is named "${target}"; its linear modules are ${known}`);
  }
  return modules.filter((m) => targetModules.some((target) => fits(m, target)));
}

/** Name and shape of an adapter's parameters: A [r, in] and B [out, r] of each module, in the model's order. */
export function adapterShapes(config: ModelConfig, options: LoraOptions): Record<string, number[]> {
  const shapes: Record<string, number[]> = {};
  for (const { name, inputs, outputs } of loraModules(config, options)) {
    const { down, up } = adapterNames(name);
    shapes[down] = [options.rank, inputs];
    shapes[up] = [outputs, options.rank];
  }
  return shapes;
}

/** Streams of a seed from this one on belong to adapters, one a module. */
const ADAPTER_STREAM = 0x6c6f7200;

/** An adapter that changes nothing yet: A uniform in ±1/√in, as PEFT draws it; B zero. */
export function initialAdapter(config: ModelConfig, options: LoraOptions, seed: number): Weights {
  const adapter: Record<string, Weights[string]> = {};
  for (const [i, { name, inputs, outputs }] of loraModules(config, options).entries()) {
    const { down, up } = adapterNames(name);
    const bound = 1 / Math.sqrt(inputs);
    const drawn = uniforms({ seed, stream: ADAPTER_STREAM, step: 0, row: i, count: options.rank * inputs });
    adapter[down] = { shape: [options.rank, inputs], data: drawn.map((u) => (2 * u - 1) * bound) };
    adapter[up] = { shape: [outputs, options.rank], data: new Float32Array(outputs * options.rank) };
  }
  return adapter;
}

/**
 * The weights that a model with its adapter amounts to: W + s·B·A in each module, everything else as it is. It lets
 * other work of the thread pass between modules.
 */
export async function mergeAdapter(
  config: ModelConfig,
  options: LoraOptions,
  base: Weights,
  adapter: Weights,
): Promise<Weights> {
  const merged: Record<string, Weights[string]> = { ...base };
  for (const module of loraModules(config, options)) {
    const weight = base[`${module.name}.weight`]!;
    const { down, up } = adapterNames(module.name);
    const data = weight.data.slice();
    addAdapter(data, module, options, adapter[up]!.data, adapter[down]!.data);
    merged[`${module.name}.weight`] = { shape: weight.shape, data };
    await setImmediate();
  }
  return merged;
}

/** Adds s·B·A to a module's weight, in place. @param up B [out, r] @param down A [r, in] */
export function addAdapter(
  weight: Float32Array,
  module: LinearModule,
  options: LoraOptions,
  up: Float32Array,
  down: Float32Array,
): void {
  addProduct(weight, module, up, down, options.rank, loraScale(options));
}

/** Adds s·B·A to a weight in its own layout. @param up B [out, r] @param down A [r, in] */
function addProduct(
  weight: Float32Array,
  { inputs, outputs, layout }: LinearModule,
  up: Float32Array,
  down: Float32Array,
  rank: number,
  scale: number,
): void {
  const row = new Float64Array(inputs);
  for (let o = 0; o < outputs; o++) {
    row.fill(0);
    for (let r = 0; r < rank; r++) {
      const b = scale * up[o * rank + r]!;
      if (b === 0) continue;
      const from = r * inputs;
      for (let i = 0; i < inputs; i++) row[i] = row[i]! + b * down[from + i]!;
    }
    if (layout === 'out×in') {
      for (let i = 0; i < inputs; i++) weight[o * inputs + i] = weight[o * inputs + i]! + row[i]!;
    } else {
      for (let i = 0; i < inputs; i++) weight[i * outputs + o] = weight[i * outputs + o]! + row[i]!;
    }
  }
}
