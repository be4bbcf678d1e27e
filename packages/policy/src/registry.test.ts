import { copyFileSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findBaseModel, listBaseModels, parameterCount, specialTokens } from './registry.js';

const GGUF = fileURLToPath(new URL('../test/fixtures/gguf/gpt2.gguf', import.meta.url));

let root: string;
function folder(name: string, files: string[]): string {
  const dir = join(root, name);
  mkdirSync(dir, { recursive: true });
  for (const file of files) writeFileSync(join(dir, file), '{}');
  return dir;
}

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'polymode-models-'));
  folder('single', ['config.json', 'model.safetensors']);
  folder('sharded', ['config.json', 'model.safetensors.index.json', 'model-1.safetensors']);
  folder('no-weights', ['config.json']);
  folder('no-config', ['model.safetensors']);
  folder('polymode-tiny', ['config.json', 'model.safetensors']);
  writeFileSync(join(root, 'a-file'), '');
  copyFileSync(GGUF, join(root, 'tiny.v1.F16.gguf'));
  writeFileSync(join(root, 'not-one.gguf'), 'hello');
  mkdirSync(join(root, 'a-folder.gguf'));
});
afterAll(() => rmSync(root, { recursive: true }));

describe('listBaseModels', () => {
  it('finds the model that ships, without anything else configured', () => {
    expect(listBaseModels().map((m) => m.id)).toContain('polymode-tiny');
  });

  it('finds folders with a config and weights, and nothing else', () => {
    const ids = listBaseModels([root]).map((m) => m.id);
    expect(ids).toEqual(expect.arrayContaining(['single', 'sharded']));
    expect(ids).not.toContain('no-weights');
    expect(ids).not.toContain('no-config');
  });

  it('takes a folder that is a model itself, and ignores one that is not there', () => {
    expect(listBaseModels([join(root, 'single'), join(root, 'gone')]).map((m) => m.id)).toContain('single');
  });

  it('finds GGUF files by their name, and no others that are called so', () => {
    const models = listBaseModels([root]);
    expect(models.find((m) => m.id === 'tiny.v1.F16')).toMatchObject({
      format: 'gguf',
      path: join(root, 'tiny.v1.F16.gguf'),
      dir: root,
    });
    expect(models.map((m) => m.id)).not.toContain('not-one');
    expect(models.map((m) => m.id)).not.toContain('a-folder');
    expect(models.find((m) => m.id === 'single')).toMatchObject({ format: 'safetensors', path: join(root, 'single') });
  });

  it('takes a GGUF file itself where a folder is asked for', () => {
    expect(listBaseModels([GGUF]).map((m) => m.id)).toContain('gpt2');
  });

  it('lets nothing replace a shipped model', () => {
    const tiny = listBaseModels([root]).filter((m) => m.id === 'polymode-tiny');
    expect(tiny).toHaveLength(1);
    expect(tiny[0]!.dir.startsWith(root)).toBe(false);
  });
});

describe('findBaseModel', () => {
  it('gives folder and age', () => {
    const model = findBaseModel('single', [root])!;
    expect(basename(model.dir)).toBe('single');
    expect(Number.isInteger(model.createdAt)).toBe(true);
    expect(Math.abs(Date.now() / 1000 - model.createdAt)).toBeLessThan(600);
  });

  it('knows nothing of others', () => {
    expect(findBaseModel('gpt-4o-mini', [root])).toBeUndefined();
    expect(findBaseModel('../single', [root])).toBeUndefined();
  });
});

describe('parameterCount', () => {
  it('counts in headers alone', async () => {
    // V d + layers (4 d² of attention with half the key heads, 3 d f, 2 norms) + 1 norm: V 512, d 96, f 256, 3 layers.
    const perLayer = 2 * 96 * 96 + 2 * 96 * 48 + 3 * 96 * 256 + 2 * 96;
    expect(await parameterCount(findBaseModel('polymode-tiny')!)).toBe(512 * 96 + 3 * perLayer + 96);
    // V 356, 64 positions, d 16, f 24, 2 layers, with biases.
    const gpt2Layer = 16 * 48 + 48 + 16 * 16 + 16 + 2 * 16 * 24 + 24 + 16 + 4 * 16;
    expect(await parameterCount(findBaseModel('tiny.v1.F16', [root])!)).toBe((356 + 64) * 16 + 2 * gpt2Layer + 2 * 16);
  });

  it('adds up shards, and refuses what is cut off', async () => {
    const header = JSON.stringify({ __metadata__: { format: 'pt' }, a: { dtype: 'F32', shape: [3, 5] } });
    const bytes = Buffer.concat([Buffer.from([header.length, 0, 0, 0, 0, 0, 0, 0]), Buffer.from(header)]);
    const dir = folder('two-shards', ['config.json']);
    const map = { a: 'model-1.safetensors', b: 'model-2.safetensors' };
    writeFileSync(join(dir, 'model.safetensors.index.json'), JSON.stringify({ weight_map: map }));
    writeFileSync(join(dir, 'model-1.safetensors'), bytes);
    writeFileSync(join(dir, 'model-2.safetensors'), bytes);
    expect(await parameterCount(findBaseModel('two-shards', [root])!)).toBe(30);
    writeFileSync(join(dir, 'model-2.safetensors'), bytes.subarray(0, 20));
    await expect(parameterCount(findBaseModel('two-shards', [root])!)).rejects.toThrow('ends at byte 20');
  });
});

describe('specialTokens', () => {
  it('are those of the tokenizer that mean something wherever they stand', async () => {
    const tokens = ['<|endoftext|>', '<|user|>', '<|assistant|>'];
    expect(await specialTokens(findBaseModel('polymode-tiny')!)).toEqual(tokens);
    const dir = folder('own-tokens', ['config.json', 'model.safetensors']);
    const path = join(dir, 'tokenizer.json');
    const write = (added_tokens: object[]) => writeFileSync(path, JSON.stringify({ added_tokens }));
    write([
      { content: '<a>', special: true },
      { content: '<b>', special: false },
    ]);
    const model = findBaseModel('own-tokens', [root])!;
    expect(await specialTokens(model)).toEqual(['<a>']);
    // The file is looked at again when it is another.
    write([]);
    utimesSync(path, 1, 1);
    expect(await specialTokens(model)).toEqual([]);
    writeFileSync(path, 'no JSON');
    await expect(specialTokens(model)).rejects.toThrow(SyntaxError);
  });

  it('are control tokens of a GGUF file', async () => {
    const tokens = await specialTokens(findBaseModel('tiny.v1.F16', [root])!);
    expect(tokens.length).toBeGreaterThan(0);
    expect(tokens.every((token) => /^<.*>$/.test(token))).toBe(true);
  });
});
