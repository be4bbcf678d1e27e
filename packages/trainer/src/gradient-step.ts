import {
  AdamW,
  type AdamWOptions,
  compileGraph,
  type Feed,
  type Fetch,
  float32,
  type Session,
  type Value,
} from '@polymode/autodiff';
import {
  type GroupShape,
  type MicroBatch,
  microBatches,
  type PackedGroups,
  type Policy,
  packGroups,
  type TokenStatistics,
  vocabularyChunks,
} from '@polymode/policy';
import { PassBytes } from './memory.js';
import type { TokenLoss, TrainingSequence } from './token-loss.js';
import { ACCUMULATED, GRADIENT, type TrainingShape, trainingGraph } from './training-graph.js';

export interface StepResult {
  readonly loss: number;
  /** norm of the whole gradient before clipping; no number when a gradient has an element that is none */
  readonly gradientNorm: number;
  /** false when loss or gradient is no number: then nothing has changed */
  readonly applied: boolean;
  /** what the loss asked for, before the update: by name, a sequence, a completion token */
  readonly reports: Readonly<Partial<Record<keyof TokenStatistics, readonly Float32Array[]>>>;
}

/** Names of the engine's variables that belong to the optimizer. */
export const MOMENT1 = 'moment1/';
export const MOMENT2 = 'moment2/';

export interface GradientStepOptions {
  readonly optimizer?: AdamWOptions;
  /** Bytes that one forward and backward pass may need; a larger step is summed from several. @defaultValue 2 GiB */
  readonly passBytes?: number;
  /**
   * Bytes that compiled passes may need together, as each keeps what it used; the one that was not used for longest goes
   * first. @defaultValue 6 GiB
   */
  readonly sessionBytes?: number;
}

const GIB = 2 ** 30;

/** The gradient of a loss and the AdamW step that follows, on a policy's weights inside its engine. */
export class GradientStep {
  private readonly sessions = new Map<string, { readonly session: Promise<Session>; readonly bytes: number }>();
  private readonly passSizes = new Map<string, PassBytes>();
  private readonly optimizer: AdamW;
  private readonly names: readonly string[];
  private passBytes: number;
  private sessionBytes: number;

  constructor(
    private readonly policy: Policy,
    options: GradientStepOptions = {},
  ) {
    this.names = Object.keys(policy.trainable);
    this.passBytes = options.passBytes ?? 2 * GIB;
    this.sessionBytes = options.sessionBytes ?? 6 * GIB;
    this.optimizer = new AdamW(
      policy.engine,
      Object.entries(policy.trainable).map(([name, shape]) => ({
        value: policy.prefix + name,
        gradient: GRADIENT + name,
        moment1: MOMENT1 + name,
        moment2: MOMENT2 + name,
        shape,
        decayed: shape.length > 1, // norms and biases have a scale that is theirs to find
      })),
      options.optimizer,
    );
  }

  /** Sets what passes may need, as the options of the constructor do. */
  setMemory({ passBytes, sessionBytes }: { readonly passBytes: number; readonly sessionBytes: number }): void {
    this.passBytes = passBytes;
    this.sessionBytes = sessionBytes;
  }

  /** Makes room for gradients and moments. The moments are zero, as before the first update. */
  async allocate(): Promise<void> {
    await this.policy.engine.allocate(
      Object.entries(this.policy.trainable).flatMap(([name, shape]) =>
        [GRADIENT, MOMENT1, MOMENT2].map((kind) => ({ name: kind + name, shape })),
      ),
    );
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
    const reports: Partial<Record<keyof TokenStatistics, Float32Array[]>> = {};
    const result = { loss: 0, reports };
    const scalars: Record<string, Value> = { temperature: float32([temperature], []) };
    for (const [name, value] of Object.entries(perStep)) scalars[name] = float32([value], []);

    const sizes = this.sizesOf(loss);
    const fits = (shape: GroupShape, groups: number): boolean => sizes.of(shape, groups) <= this.passBytes;
    for (const [i, pass] of microBatches(sequences, fits).entries()) {
      const out = await this.runPass(loss, pass, scalars, i > 0);
      result.loss += Number(out.loss!.data[0]);
      for (const name of loss.reports) {
        reports[name] = [...(reports[name] ?? []), ...perSequence(pass.sequences, out[name]!)];
      }
    }
    if (!Number.isFinite(result.loss)) return { ...result, gradientNorm: Number.NaN, applied: false };
    return { ...result, ...(await this.optimizer.step(updateNumber, learningRate)) };
  }

  private async runPass(
    loss: TokenLoss,
    { groups, sequences, shape }: MicroBatch<TrainingSequence>,
    scalars: Readonly<Record<string, Value>>,
    accumulate: boolean,
  ): Promise<Record<string, Value>> {
    const packed = packGroups(groups, this.policy.paddingToken, shape);
    const chunks = vocabularyChunks(packed.count, this.policy.config.vocabSize);
    const bytes = this.sizesOf(loss).of(shape, groups.length);
    const session = await this.session(loss, { ...shape, ...chunks, accumulate }, bytes);
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
        ...Object.fromEntries(loss.reports.map((name): [string, Fetch] => [name, 'return'])),
        ...Object.fromEntries(this.names.map((n): [string, Fetch] => [GRADIENT + n, { variable: GRADIENT + n }])),
      },
    );
  }

  private sizesOf(loss: TokenLoss): PassBytes {
    const sizes = this.passSizes.get(loss.name) ?? new PassBytes(this.policy, loss);
    this.passSizes.set(loss.name, sizes);
    return sizes;
  }

  private async session(loss: TokenLoss, shape: TrainingShape, bytes: number): Promise<Session> {
    const { promptLength, completionLength, groupSize, chunks, accumulate } = shape;
    const key = [loss.name, promptLength, completionLength, groupSize, chunks, accumulate].join();
    const known = this.sessions.get(key);
    this.sessions.delete(key); // and set again: the last one in the map is the one used last
    const all = Math.max(bytes, known?.bytes ?? 0);
    await this.makeRoom(this.sessionBytes - all);
    const session =
      known?.session ??
      this.policy.engine.compile(
        compileGraph(trainingGraph(this.policy, loss, shape), this.policy.engine.profile),
        this.names.map((n) => GRADIENT + n),
      );
    this.sessions.set(key, { session, bytes: all });
    return session;
  }

  /** Releases passes until the others need no more than so many bytes. */
  private async makeRoom(bytes: number): Promise<void> {
    let held = [...this.sessions.values()].reduce((sum, s) => sum + s.bytes, 0);
    for (const [key, stale] of this.sessions) {
      if (held <= bytes) return;
      this.sessions.delete(key);
      held -= stale.bytes;
      await (await stale.session).release();
    }
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
