import { mkdir, open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { adapter } from './adapter.js';
import { ExportError, type ExportSource, type Format } from './format.js';
import { gguf } from './gguf.js';
import { promptLogits } from './logits.js';
import { merged } from './merged.js';
import { onnx } from './onnx.js';

export { ExportError, type ExportFile, type ExportSource } from './format.js';
export { promptLogits } from './logits.js';

const formats = { adapter, merged, onnx, gguf } satisfies Record<string, Format>;

/** `adapter` PEFT, `merged` Hugging Face, `onnx` transformers.js, `gguf` llama.cpp. */
export type ExportFormat = keyof typeof formats;

/** What was written, and how well it reads back. */
export interface ExportReport {
  readonly format: ExportFormat;
  /** below the folder that was written to, `<format>/` included, sorted */
  readonly paths: readonly string[];
  /** the most that a logit of the prompt differs by, read back, from the policy's own */
  readonly largestDifference: number;
  /** distance from the policy's lowest logit to its highest, which that is to be measured by */
  readonly spread: number;
  readonly warnings: readonly string[];
}

export interface ExportOptions {
  /** a prompt whose logits are compared, two tokens or more */
  readonly tokens: readonly number[];
  /** threads that reading back may take */
  readonly threads: number;
}

/**
 * Writes a policy to `<folder>/<format>/…` and reads it back as its users will: logits of a prompt must be the policy's, to
 * what the format can hold.
 *
 * @throws ExportError when the model cannot be written so, or what was written does not give the policy's logits
 */
export async function exportPolicy(
  format: ExportFormat,
  source: ExportSource,
  folder: string,
  { tokens, threads }: ExportOptions,
): Promise<ExportReport> {
  const { files, logits, tolerance, warnings }: Format = formats[format];
  const own = join(folder, format);
  const paths: string[] = [];
  for (const file of await files(source)) {
    await writeDown(join(own, file.path), file.chunks());
    paths.push(`${format}/${file.path}`);
  }
  const expected = await promptLogits(source.policy, tokens);
  const read = await logits(own, source, { tokens, logits: expected, threads });
  const { difference, spread } = compare(expected, read);
  const bound = tolerance(source) * spread;
  if (difference > bound) {
    throw new ExportError(
      `the ${format} checkpoint does not read back as it was: logits differ by ${difference.toPrecision(3)}, ` +
        `and ${bound.toPrecision(3)} is the most that its format explains`,
    );
  }
  return {
    format,
    paths: paths.sort(),
    largestDifference: difference,
    spread,
    warnings: (await warnings?.(source)) ?? [],
  };
}

async function writeDown(path: string, chunks: AsyncIterable<Uint8Array>): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const file = await open(path, 'w');
  try {
    for await (const chunk of chunks) await file.writeFile(chunk);
  } finally {
    await file.close();
  }
}

function compare(expected: Float32Array, read: Float32Array): { difference: number; spread: number } {
  if (expected.length !== read.length) {
    throw new ExportError(`the checkpoint gives ${read.length} logits, the policy ${expected.length}`);
  }
  let [difference, lowest, highest] = [0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const [i, value] of expected.entries()) {
    const d = Math.abs(value - read[i]!);
    difference = Math.max(difference, Number.isNaN(d) ? Number.POSITIVE_INFINITY : d);
    if (value < lowest) lowest = value;
    if (value > highest) highest = value;
  }
  return { difference, spread: highest - lowest };
}
