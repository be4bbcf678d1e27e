import {
  add,
  backward,
  concat,
  gatherRows,
  input,
  reshape,
  scalar,
  stopGradient,
  type Tensor,
} from '@polymode/autodiff';
import {
  after,
  chunkOf,
  type GroupCounts,
  type GroupShape,
  groupHidden,
  groupInputs,
  type Policy,
  type TokenStatistics,
  tokenStatistics,
  type VocabularyChunks,
} from '@polymode/policy';
import type { TokenLoss } from './token-loss.js';

/** Names of a training graph's tensors that are gradients: the outputs, and what earlier passes summed up to. */
export const GRADIENT = 'gradient/';
export const ACCUMULATED = 'accumulated/';

export interface TrainingShape extends GroupShape, VocabularyChunks {
  /** whether gradients of earlier passes are added */
  readonly accumulate: boolean;
}

/**
 * A loss over the completion tokens of groups, and its gradient by everything that the policy trains.
 *
 * The vocabulary's logits are never there whole: k chunks of tokens, one
 * after the other, each go forward to the loss and back to their hidden states before the next begins. The rest of the
 * model is then differentiated from the hidden states.
 *
 * Inputs: those of `groupInputs`, the policy's parameters, the loss's own: [M] a token, scalars a step.
 * Outputs: `loss`; what the loss reports [M]; GRADIENT + name of each trained parameter.
 */
export function trainingGraph(
  policy: Policy,
  loss: TokenLoss,
  shape: TrainingShape,
  counts: GroupCounts = { groups: 'N', tokens: 'M' },
): Record<string, Tensor> {
  const { config } = policy;
  const parameters = policy.parameterInputs();
  const { tokens, positions, lengths, at, targets, temperature } = groupInputs(shape, counts);
  const names = Object.keys(policy.trainable);
  const trained = names.map((name) => parameters[name]!);
  const once = memo((name) => input(name, 'float32', [counts.tokens]));
  const perStep = memo((name) => input(name, 'float32', []));

  const hidden = groupHidden(config, parameters, tokens, positions, lengths, shape);
  const chosen = gatherRows(hidden, at); // [M, d]
  const losses: Tensor[] = [];
  const reports: TokenStatistics[] = [];
  const hiddenGradients: Tensor[] = [];
  let total: (Tensor | null)[] = names.map(() => null);
  const reported = (i: number): Tensor[] => loss.reports.map((name) => reports[i]![name]);
  for (let i = 0; i < shape.chunks; i++) {
    // From here backwards nothing flows but what is handed on below.
    let rows = stopGradient(chunkOf(chosen, shape, i));
    // A chunk's logits must be gone before the next one's are there, and before the rest goes back.
    const before = hiddenGradients[i - 1];
    if (before !== undefined) rows = after(rows, before, ...reported(i - 1));
    const statistics = tokenStatistics(config, parameters, rows, chunkOf(targets, shape, i), temperature);
    const value = loss.build(statistics, (name) => chunkOf(once(name), shape, i), perStep);
    const [toHidden, ...toParameters] = backward([{ output: value, gradient: scalar(1) }], [rows, ...trained]);
    hiddenGradients.push(toHidden!);
    total = total.map((g, k) => sumOf(g, toParameters[k]!));
    losses.push(value);
    reports.push(statistics);
  }
  const joinedGradient = shape.chunks === 1 ? hiddenGradients[0]! : reshape(concat(hiddenGradients, 0), chosen.shape);
  const toChosen = after(joinedGradient, ...reported(shape.chunks - 1));
  const body = backward([{ output: chosen, gradient: toChosen }], trained);
  total = total.map((g, k) => sumOf(g, body[k]!));

  const joined = (x: readonly Tensor[]): Tensor => (x.length === 1 ? x[0]! : concat(x, 0));
  const outputs: Record<string, Tensor> = {
    loss: losses.reduce((a, b) => add(a, b)),
  };
  for (const name of loss.reports) outputs[name] = joined(reports.map((r) => r[name]));
  for (const [k, name] of names.entries()) {
    const gradient = total[k];
    if (gradient === null || gradient === undefined) throw new Error(`no gradient reaches ${name}`);
    outputs[GRADIENT + name] = shape.accumulate
      ? add(input(ACCUMULATED + name, 'float32', gradient.shape), gradient)
      : gradient;
  }
  return outputs;
}

function sumOf(a: Tensor | null, b: Tensor | null): Tensor | null {
  return a === null ? b : b === null ? a : add(a, b);
}

function memo(make: (name: string) => Tensor): (name: string) => Tensor {
  const made = new Map<string, Tensor>();
  return (name) => {
    const tensor = made.get(name) ?? make(name);
    made.set(name, tensor);
    return tensor;
  };
}
