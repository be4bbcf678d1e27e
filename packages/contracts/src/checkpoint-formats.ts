import { z } from 'zod';

/**
 * What a checkpoint is written as: `adapter` PEFT files, `merged` a Hugging Face folder, `onnx` a folder for
 * transformers.js, `gguf` one file for llama.cpp.
 */
export const CheckpointFormat = z.enum(['adapter', 'merged', 'onnx', 'gguf']);
export type CheckpointFormat = z.infer<typeof CheckpointFormat>;

/** Number format of matrices in GGUF checkpoints. */
export const GgufType = z.enum(['F16', 'Q8_0']);
export type GgufType = z.infer<typeof GgufType>;

/** Formats that a request may name; `resolveCheckpointFormats` decides "auto". */
export const RequestedCheckpointFormats = z.union([
  z.literal('auto'),
  z
    .array(CheckpointFormat, { error: "Expected 'auto' or an array of checkpoint formats." })
    .min(1, { error: 'Expected at least one checkpoint format.' })
    .refine((formats) => new Set(formats).size === formats.length, { error: 'Expected each checkpoint format once.' }),
]);

/** A format that this kind of training cannot give. */
export class CheckpointFormatError extends Error {
  override readonly name = 'CheckpointFormatError';
}

/**
 * Decides "auto": `merged`, and `adapter` before it where there is one.
 *
 * @throws CheckpointFormatError for `adapter` where all weights learn
 */
export function resolveCheckpointFormats(
  requested: z.infer<typeof RequestedCheckpointFormats> | null | undefined,
  trainable: 'lora' | 'full',
): CheckpointFormat[] {
  if (requested === undefined || requested === null || requested === 'auto') {
    return trainable === 'lora' ? ['adapter', 'merged'] : ['merged'];
  }
  if (trainable === 'full' && requested.includes('adapter')) {
    throw new CheckpointFormatError(
      "Training all weights makes no adapter. Leave 'adapter' out, or set hyperparameters.trainable to 'lora'.",
    );
  }
  return [...requested];
}
