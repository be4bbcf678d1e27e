import type { Policy, Weights } from '../policy.js';

/** A file of a checkpoint. Reading it again gives the same bytes as long as the policy does not change. */
export interface ExportFile {
  /** below the format's own folder */
  readonly path: string;
  /** a tensor at a time or so: files may be larger than memory */
  chunks(): AsyncIterable<Uint8Array>;
}

/** What is exported. */
export interface ExportSource {
  readonly policy: Policy;
  /** what the model is shown as, and what PEFT looks an adapter's base up by */
  readonly name: string;
  /** config.json, tokenizer and the like, as in `ModelFolder` */
  readonly otherFiles: ReadonlyMap<string, Uint8Array>;
  readonly ggufType: 'F16' | 'Q8_0';
}

/** Logits of a prompt: what an export is checked by. */
export interface ExpectedLogits {
  readonly tokens: readonly number[];
  /** [T, V] */
  readonly logits: Float32Array;
  /** threads that checking may take */
  readonly threads: number;
}

/** One way of writing a model down. */
export interface Format {
  /** @throws ExportError when the model cannot be written so */
  files(source: ExportSource): Promise<ExportFile[]>;
  /** Logits that the files in a folder give for a prompt, computed from nothing else but, for adapters, their base. */
  logits(folder: string, source: ExportSource, expected: ExpectedLogits): Promise<Float32Array>;
  /** most that a logit may differ by, as a share of the distance from the lowest logit to the highest */
  tolerance(source: ExportSource): number;
  /** what the format's readers will not do as the model does, a sentence each */
  warnings?(source: ExportSource): Promise<readonly string[]>;
}

/** A model that cannot be written in a format, or that does not read back as it was. */
export class ExportError extends Error {
  override name = 'ExportError';
  readonly code = 'export_failed';
  readonly param = null;
}

export const bytesFile = (path: string, bytes: Uint8Array): ExportFile => ({
  path,
  async *chunks() {
    yield bytes;
  },
});

export const jsonBytes = (value: unknown): Uint8Array =>
  new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`);

/** A JSON file of the base model. */
export function jsonOf(source: ExportSource, name: string): Record<string, unknown> {
  const bytes = source.otherFiles.get(name);
  if (bytes === undefined) throw new ExportError(`the base model has no ${name}`);
  return JSON.parse(new TextDecoder().decode(bytes)) as Record<string, unknown>;
}

/** config.json for weights as float32, with another model's field names left alone. */
export function float32Config(source: ExportSource): Record<string, unknown> {
  const config = { ...jsonOf(source, 'config.json') };
  // transformers 5 says dtype, and before that torch_dtype.
  const field = 'dtype' in config ? 'dtype' : 'torch_dtype';
  return { ...config, [field]: 'float32' };
}

/** The base model's other files as they are. */
export function copiedFiles(source: ExportSource, except: readonly string[] = []): ExportFile[] {
  return [...source.otherFiles].flatMap(([name, bytes]) => (except.includes(name) ? [] : [bytesFile(name, bytes)]));
}

/** All merged weights at once, for formats that need them so. */
export const mergedWeights = (source: ExportSource): Promise<Weights> => source.policy.mergedWeights();
