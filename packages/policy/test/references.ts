import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { type Engine, int32, type Value } from '@polymode/autodiff';
import { Policy, readAdapter, readModelFolder, readSafetensors, type Sequence, type Weights } from '@polymode/policy';

/** Values that PyTorch computed in float64; fixtures/README.md and fixtures/families/README.md describe them. */
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

/** Folders of fixtures, one or more for every family and for adapters. */
export const REFERENCE_MODELS = [
  'llama-tied',
  'llama-untied',
  'families/llama3-rope',
  'families/llama-linear-rope',
  'families/llama-sharded',
  'families/llama-bf16',
  'families/llama-fp16',
  'families/qwen2-tied',
  'families/qwen2-untied',
  'families/qwen3',
  'families/mistral',
  'families/mistral-sliding',
  'families/gpt2',
  'families/gpt2-bare',
  'families/lora-llama',
  'families/lora-llama-rslora',
  'families/lora-gpt2',
] as const;

/** One of each architecture, where all would take long. */
export const REFERENCE_FAMILIES = [
  'families/llama3-rope',
  'families/qwen2-tied',
  'families/qwen3',
  'families/mistral-sliding',
  'families/gpt2',
  'families/lora-llama',
] as const;

export type ReferenceModel = (typeof REFERENCE_MODELS)[number];

const fixture = (name: string): string => fileURLToPath(new URL(`./fixtures/${name}`, import.meta.url));

/** A fixture's values, and its model as a policy in an engine, with the adapter where there is one. */
export async function loadReference(model: ReferenceModel, engine: Engine) {
  const { config, weights } = await readModelFolder(fixture(model));
  const values: Reference = JSON.parse(await readFile(fixture(`${model}/reference.json`), 'utf8'));
  const tensors = Object.fromEntries(
    Object.entries(readSafetensors(await readFile(fixture(`${model}/reference.safetensors`)))).map(([name, tensor]) => [
      name.replace('/base_model.model.', '/'),
      tensor,
    ]),
  );
  const lora = model.includes('/lora-')
    ? await readAdapter(config, (name) => readFile(fixture(`${model}/${name}`)))
    : null;
  const policy = new Policy(config, engine, {
    paddingToken: values.padding,
    ...(lora === null ? {} : { lora: lora.options }),
  });
  await policy.setWeights(weights);
  if (lora !== null) await policy.setAdapter(lora.adapter);
  return { config, weights, values, tensors, policy };
}

/** All of the fixture's rows as a run's tokens, [B, T]. */
export function tokenRows(values: Reference): Value {
  return int32(values.input_ids.flat(), [values.input_ids.length, values.input_ids[0]!.length]);
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
