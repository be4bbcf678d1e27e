import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pipeline } from '@huggingface/transformers';
import { Engine } from '@polymode/autodiff';
import {
  adapterShapes,
  ExportError,
  type ExportFormat,
  type ExportSource,
  exportPolicy,
  type LoraOptions,
  Policy,
  parseModelConfig,
  promptLogits,
  readModelFolder,
  type Weights,
} from '@polymode/policy';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { readGgufModel } from '../src/gguf/index.js';
import { numbers } from './tiny-policy.js';

const fixture = (name: string): string => fileURLToPath(new URL(`fixtures/gguf/${name}.gguf`, import.meta.url));
const LORA: LoraOptions = { rank: 3, alpha: 12, rslora: true, targetModules: 'all-linear' };
const TOKENS = [5, 9, 2, 17, 3, 3, 40, 8];
const THREADS = 1;

let folder: string;
const engines: Engine[] = [];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'polymode-export-'));
  return () => rm(folder, { recursive: true, force: true });
});
afterEach(async () => {
  for (const engine of engines.splice(0)) await engine.close();
});

/** A whole small model of a family, tokenizer included, with an adapter that changes it or as all weights. */
async function sourceOf(name: string, lora: LoraOptions | null): Promise<ExportSource> {
  const model = await readGgufModel(fixture(name));
  const config = parseModelConfig(model.config);
  const engine = new Engine({ threads: THREADS });
  engines.push(engine);
  const policy = new Policy(config, engine, { paddingToken: 0, prefix: 'policy/', ...(lora && { lora }) });
  await policy.setWeights(model.weights);
  if (lora !== null) {
    const next = numbers(4);
    const adapter: Weights = Object.fromEntries(
      Object.entries(adapterShapes(config, lora)).map(([key, shape]) => [
        key,
        { shape, data: Float32Array.from({ length: shape[0]! * shape[1]! }, () => (next() - 0.5) * 0.2) },
      ]),
    );
    await policy.setAdapter(adapter);
  }
  return { policy, name: `test/${name}`, otherFiles: model.otherFiles, ggufType: 'F16' };
}

const exported = (format: ExportFormat, source: ExportSource, into: string) =>
  exportPolicy(format, source, join(folder, into), { tokens: TOKENS, threads: THREADS });

describe.each(['smollm', 'llama3', 'mistral', 'qwen2', 'qwen3', 'gpt2'])('%s', (name) => {
  it.each<[ExportFormat, number]>([
    ['adapter', 1e-4],
    ['merged', 1e-4],
    ['onnx', 1e-4],
    ['gguf', 1e-2],
  ])('with an adapter reads back from %s as it was', async (format, bound) => {
    const source = await sourceOf(name, LORA);
    const report = await exported(format, source, `${name}-lora`);
    expect(report.largestDifference / report.spread).toBeLessThan(bound);
    // It is the adapted model that was written, not its base.
    const base = await promptLogits(source.policy.withoutAdapter(), TOKENS);
    const own = await promptLogits(source.policy, TOKENS);
    const change = Math.max(...own.map((v, i) => Math.abs(v - base[i]!)));
    expect(change).toBeGreaterThan(20 * report.largestDifference);
  });

  it('with all weights trained reads back, and has no adapter', async () => {
    const source = await sourceOf(name, null);
    const report = await exported('merged', source, `${name}-full`);
    // Not one weight was computed on the way.
    expect(report.largestDifference).toBe(0);
    const { weights } = await readModelFolder(join(folder, `${name}-full`, 'merged'));
    for (const [key, { data }] of Object.entries(await source.policy.weights())) {
      expect(weights[key]!.data, key).toEqual(data);
    }
    await expect(exported('adapter', source, `${name}-full`)).rejects.toThrow('trains all weights has no adapter');
  });
});

describe('a folder', () => {
  it('is the same when it is written again', async () => {
    const source = await sourceOf('qwen2', LORA);
    for (const format of ['adapter', 'merged', 'onnx', 'gguf'] as const) {
      const [one, two] = [await exported(format, source, 'first'), await exported(format, source, 'second')];
      expect(one).toEqual(two);
      for (const path of one.paths) {
        const [a, b] = await Promise.all(['first', 'second'].map((into) => readFile(join(folder, into, path))));
        expect(a!.equals(b!), path).toBe(true);
      }
    }
  });

  it('holds what its readers look for', async () => {
    const source = await sourceOf('qwen2', LORA);
    const paths = async (format: ExportFormat): Promise<readonly string[]> =>
      (await exported(format, source, 'contents')).paths.map((p) => p.slice(format.length + 1));
    expect(await paths('adapter')).toEqual(
      expect.arrayContaining(['adapter_config.json', 'adapter_model.safetensors', 'tokenizer.json']),
    );
    expect(await paths('merged')).toEqual(
      expect.arrayContaining(['config.json', 'generation_config.json', 'model.safetensors', 'tokenizer_config.json']),
    );
    expect(await paths('onnx')).toEqual(
      expect.arrayContaining(['onnx/model.onnx', 'onnx/model.onnx_data', 'tokenizer.json', 'config.json']),
    );
    const settings = JSON.parse(await readFile(join(folder, 'contents/adapter/adapter_config.json'), 'utf8'));
    expect(settings).toMatchObject({ base_model_name_or_path: 'test/qwen2', r: 3, use_rslora: true });
  });

  it('of another type of GGUF is checked by what that type holds', async () => {
    const source = { ...(await sourceOf('smollm', LORA)), ggufType: 'Q8_0' as const };
    const report = await exported('gguf', source, 'q8');
    expect(report.largestDifference).toBeGreaterThan(0);
    expect(report.largestDifference / report.spread).toBeLessThan(0.1);
  });

  it('that does not read back as the policy is refused', async () => {
    const source = await sourceOf('smollm', LORA);
    const { policy } = source;
    const wrong = new Proxy(policy, {
      get: (target, key) => {
        if (key !== 'mergedWeight') return Reflect.get(target, key);
        return async (name: string) => (await target.mergedWeight(name)).map((v) => v * 1.01);
      },
    });
    const failure = exported('merged', { ...source, policy: wrong }, 'wrong');
    await expect(failure).rejects.toThrow(ExportError);
    await expect(failure).rejects.toThrow(/the merged checkpoint does not read back as it was: logits differ by/);
  });
});

describe('transformers.js', () => {
  it('generates from an ONNX folder what the policy does, on its cache, padded rows beside others', async () => {
    const source = await sourceOf('smollm', LORA);
    await exported('onnx', source, 'generate');
    const generate = await pipeline('text-generation', join(folder, 'generate', 'onnx'), { dtype: 'fp32' });
    const texts = ['the cat sat on', 'a'];
    const settings = { max_new_tokens: 12, do_sample: false, return_full_text: false };
    const together = (await generate(texts, settings)) as { generated_text: string }[][];
    for (const [i, text] of texts.entries()) {
      const prompt = generate.tokenizer.encode(text, { add_special_tokens: false });
      const [group] = await source.policy.sample([prompt], 1, () => new Float32Array(12).fill(0.5), {
        maxTokens: 12,
        temperature: 0,
        stopTokens: [],
      });
      const expected = generate.tokenizer.decode([...group![0]!.tokens], { skip_special_tokens: true });
      expect(together[i]![0]!.generated_text).toBe(expected);
    }
    await generate.dispose();
  });

  it('says what is wrong with a model that it cannot run', async () => {
    const source = await sourceOf('smollm', LORA);
    await exported('onnx', source, 'broken');
    const config = join(folder, 'broken/onnx/config.json');
    const { model_type: _, ...rest } = JSON.parse(await readFile(config, 'utf8'));
    const otherFiles = new Map(source.otherFiles);
    otherFiles.set('config.json', new TextEncoder().encode(JSON.stringify(rest)));
    await writeFile(config, JSON.stringify(rest));
    await expect(exported('onnx', { ...source, otherFiles }, 'broken')).rejects.toThrow(
      'transformers.js does not run the ONNX model',
    );
  });
});
