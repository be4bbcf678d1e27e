import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findBaseModel, listBaseModels } from './registry.js';

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
