import { type AdamWCoefficients, type AdamWOptions, type AdamWTensors, adamWStep, sumOfSquares } from './adamw.js';
import { type Engine, type Fetch, float32, type Session } from './engine/engine.js';
import { compileKernel, type Kernel } from './kernel/kernel.js';
import { compileGraph } from './lower.js';
import { input, type Tensor } from './tensor.js';

/** The float32 variables of one parameter, all of its shape. */
export interface AdamWParameter {
  readonly value: string;
  readonly gradient: string;
  readonly moment1: string;
  readonly moment2: string;
  readonly shape: readonly number[];
  /** Weight decay shrinks it: right for matrices, wrong for norms and biases. @defaultValue true */
  readonly decayed?: boolean;
}

export interface AdamWResult {
  /** of all gradients together, before clipping; NaN or Infinity when one of them is not finite */
  readonly gradientNorm: number;
  /** false: the norm is not finite, and no value or moment was touched */
  readonly applied: boolean;
}

type Scalars = Readonly<Record<keyof AdamWCoefficients, number>>;

/**
 * AdamW over an engine's variables, with clipping by global norm and decoupled weight decay; `adamWStep` has the
 * formula. On the CPU it is one pass over memory, in place, in an order that makes equal bits everywhere; on a GPU it
 * is a graph over the variables on the device.
 */
export class AdamW {
  private readonly options: Required<AdamWOptions>;
  private kernel: Kernel | null = null;
  private graphs: Promise<{ squares: Session; update: Session }> | null = null;

  constructor(
    private readonly engine: Engine,
    private readonly parameters: readonly AdamWParameter[],
    options: AdamWOptions = {},
  ) {
    const { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weightDecay = 0, maxGradientNorm = 1 } = options;
    this.options = { beta1, beta2, epsilon, weightDecay, maxGradientNorm };
  }

  /**
   * @param number of this step, from 1
   * @param learningRate of this step
   */
  async step(number: number, learningRate: number): Promise<AdamWResult> {
    const { beta1, beta2, epsilon, weightDecay, maxGradientNorm } = this.options;
    const gradientNorm = Math.sqrt(await this.sumOfSquares());
    if (!Number.isFinite(gradientNorm)) return { gradientNorm, applied: false };
    const root = Math.sqrt(1 - beta2 ** number);
    const scalars: Scalars = {
      // The 1e-6 is PyTorch's, so that both agree to rounding.
      scale: Math.min(1, maxGradientNorm / (gradientNorm + 1e-6)),
      decay: 1 - learningRate * weightDecay,
      rate: (learningRate * root) / (1 - beta1 ** number),
      epsilon: epsilon * root,
    };
    if (this.onDevice) await this.updateOnDevice(scalars);
    else await this.updateHere(scalars);
    return { gradientNorm, applied: true };
  }

  async close(): Promise<void> {
    if (this.graphs === null) return;
    const { squares, update } = await this.graphs;
    await Promise.all([squares.release(), update.release()]);
    this.graphs = null;
  }

  /** CUDA's variables are in this process's memory between runs, so they are updated here. */
  private get onDevice(): boolean {
    return this.engine.provider === 'webgpu';
  }

  private async sumOfSquares(): Promise<number> {
    if (!this.onDevice) return this.engine.sumOfSquares(this.parameters.map((p) => p.gradient));
    this.graphs ??= this.compileGraphs();
    const { squares } = await this.graphs;
    const feeds = Object.fromEntries(this.parameters.map((p, i) => [`gradient${i}`, { variable: p.gradient }]));
    const { total } = await squares.run(feeds, { total: 'return' });
    return Number(total!.data[0]);
  }

  private async updateHere(scalars: Scalars): Promise<void> {
    this.kernel ??= this.compileKernel();
    await this.engine.apply(
      this.kernel,
      this.parameters.map(({ value, gradient, moment1, moment2, decayed = true }) => ({
        vectors: { value, gradient, moment1, moment2 },
        scalars: { ...scalars, decay: decayed ? scalars.decay : 1 },
      })),
    );
  }

  private compileKernel(): Kernel {
    const tensor = (name: string): Tensor => input(name, 'float32', ['N']);
    const tensors: AdamWTensors = {
      value: tensor('value'),
      gradient: tensor('gradient'),
      moment1: tensor('moment1'),
      moment2: tensor('moment2'),
    };
    return compileKernel(adamWStep(tensors, coefficients(), this.options.beta1, this.options.beta2));
  }

  private async updateOnDevice(scalars: Scalars): Promise<void> {
    const { update } = await this.graphs!;
    const fed = { ...scalars, undecayed: 1 };
    const feeds: Parameters<Session['run']>[0] = {
      ...Object.fromEntries(Object.entries(fed).map(([name, value]) => [name, float32([value], [])])),
      ...Object.fromEntries(
        this.parameters.flatMap((p, i) => VARIABLES.map((kind) => [kind + i, { variable: p[kind] }])),
      ),
    };
    const fetches = Object.fromEntries(
      this.parameters.flatMap((p, i) => UPDATED.map((kind): [string, Fetch] => [kind + i, { variable: p[kind] }])),
    );
    await update.run(feeds, fetches);
  }

  private async compileGraphs(): Promise<{ squares: Session; update: Session }> {
    const { beta1, beta2 } = this.options;
    const shared = coefficients();
    const undecayed = input('undecayed', 'float32', []);
    const outputs: Record<string, Tensor> = {};
    const gradients: Tensor[] = [];
    for (const [i, { shape, decayed = true }] of this.parameters.entries()) {
      const tensor = (kind: string): Tensor => input(kind + i, 'float32', shape);
      const tensors: AdamWTensors = {
        value: tensor('value'),
        gradient: tensor('gradient'),
        moment1: tensor('moment1'),
        moment2: tensor('moment2'),
      };
      gradients.push(tensors.gradient);
      const updated = adamWStep(tensors, decayed ? shared : { ...shared, decay: undecayed }, beta1, beta2);
      for (const kind of UPDATED) outputs[kind + i] = updated[kind];
    }
    const { engine } = this;
    const [squares, update] = await Promise.all([
      engine.compile(compileGraph({ total: sumOfSquares(gradients) }, engine.profile)),
      engine.compile(compileGraph(outputs, engine.profile), Object.keys(outputs)),
    ]);
    return { squares, update };
  }
}

const UPDATED = ['value', 'moment1', 'moment2'] as const;
const VARIABLES = ['value', 'gradient', 'moment1', 'moment2'] as const;

function coefficients(): AdamWCoefficients {
  const scalar = (name: keyof AdamWCoefficients): Tensor => input(name, 'float32', []);
  return { scale: scalar('scale'), decay: scalar('decay'), rate: scalar('rate'), epsilon: scalar('epsilon') };
}
