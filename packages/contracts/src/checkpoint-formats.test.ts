import { describe, expect, it } from 'vitest';
import { CheckpointFormatError, resolveCheckpointFormats } from './checkpoint-formats.js';

describe('resolveCheckpointFormats', () => {
  it('writes whole models, and adapters where there are some', () => {
    expect(resolveCheckpointFormats(undefined, 'full')).toEqual(['merged']);
    expect(resolveCheckpointFormats('auto', 'lora')).toEqual(['adapter', 'merged']);
  });

  it('leaves a choice as it is', () => {
    expect(resolveCheckpointFormats(['gguf', 'onnx'], 'full')).toEqual(['gguf', 'onnx']);
    expect(resolveCheckpointFormats(['adapter'], 'lora')).toEqual(['adapter']);
  });

  it('refuses an adapter where none is trained, and says what to change', () => {
    const resolve = () => resolveCheckpointFormats(['merged', 'adapter'], 'full');
    expect(resolve).toThrow(CheckpointFormatError);
    expect(resolve).toThrow(/trainable to 'lora'/);
  });
});
