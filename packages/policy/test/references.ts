import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { readModelFolder, readSafetensors, type Sequence, type Weights } from '@polymode/policy';

/** Values that PyTorch computed in float64; fixtures/README.md describes them. */
export interface Reference {
  readonly temperature: number;
  readonly epsilon: number;
  readonly beta: number;
  readonly padding: number;
  readonly lengths: readonly number[];
  readonly prompt_lengths: readonly number[];
  readonly advantages: readonly number[];
  readonly active: readonly boolean[];
  readonly input_ids: readonly number[][];
  readonly attention_mask: readonly number[][];
  readonly log_probabilities: readonly number[][];
  readonly log_probabilities_at_temperature: readonly number[][];
  readonly entropies: readonly number[][];
  readonly weights: readonly number[][];
  readonly completion_mask: readonly number[][];
  readonly old_log_probabilities: readonly number[][];
  readonly reference_log_probabilities: readonly number[][];
  readonly losses: { readonly weighted_sum: number; readonly surrogate: number };
}

export const REFERENCE_MODELS = ['llama-tied', 'llama-untied'] as const;

const fixture = (name: string): string => fileURLToPath(new URL(`./fixtures/${name}`, import.meta.url));

export async function loadReference(model: (typeof REFERENCE_MODELS)[number]) {
  const { config, weights } = await readModelFolder(fixture(model));
  const values: Reference = JSON.parse(await readFile(fixture(`${model}/reference.json`), 'utf8'));
  const tensors = readSafetensors(await readFile(fixture(`${model}/reference.safetensors`)));
  return { config, weights, values, tensors };
}

/** Rows as sequences whose prompts have the given lengths. */
export function sequencesOf(values: Reference, promptLengths: readonly number[]): Sequence[] {
  return values.input_ids.map((row, b) => ({
    prompt: row.slice(0, promptLengths[b]),
    completion: row.slice(promptLengths[b], values.lengths[b]),
  }));
}

/** The entries of a [B, T−1] array that belong to completions, row after row. */
export function completionValues(
  values: Reference,
  rows: readonly (readonly number[])[],
  promptLengths: readonly number[],
): number[] {
  return rows.flatMap((row, b) => row.slice(promptLengths[b]! - 1, values.lengths[b]! - 1));
}

/** The largest ‖made − expected‖ / ‖expected‖ of the gradients of `loss`, with the parameter's name. */
export function worstGradient(
  made: Readonly<Record<string, Float32Array>>,
  tensors: Weights,
  loss: 'weighted_sum' | 'surrogate',
): { name: string; error: number } {
  return Object.entries(made)
    .map(([name, gradient]) => {
      const expected = tensors[`${loss}/${name}`]!.data;
      const difference = Math.hypot(...gradient.map((g, i) => g - expected[i]!));
      return { name, error: difference / Math.hypot(...expected) };
    })
    .reduce((a, b) => (b.error > a.error ? b : a));
}

export interface AdamWReference {
  readonly options: Readonly<
    Record<'learning_rate' | 'beta1' | 'beta2' | 'epsilon' | 'weight_decay' | 'max_gradient_norm', number>
  >;
  readonly shapes: Readonly<Record<string, number[]>>;
  readonly initial: Readonly<Record<string, Nested>>;
  readonly steps: readonly {
    readonly gradient_norm: number;
    readonly gradients: Readonly<Record<string, Nested>>;
    readonly parameters: Readonly<Record<string, Nested>>;
    readonly moment1: Readonly<Record<string, Nested>>;
    readonly moment2: Readonly<Record<string, Nested>>;
  }[];
}

export type Nested = number | readonly Nested[];

export const flat = (value: Nested): number[] => (typeof value === 'number' ? [value] : value.flatMap(flat));

export function loadAdamW(): AdamWReference {
  return JSON.parse(readFileSync(fixture('adamw.json'), 'utf8'));
}
