import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Engine } from '@polymode/autodiff';
import { loadTokenizer, Policy, readModelFolder, uniforms } from '@polymode/policy';
import { findBaseModel } from '@polymode/policy/registry';
import { tasks, validity } from '@polymode/verifiers';
import { describe, expect, it } from 'vitest';

const shipped = findBaseModel('polymode-tiny')!.dir;

describe('the base model that ships', () => {
  it('has the tokenizer that its script makes, to the byte', () => {
    const dir = mkdtempSync(join(tmpdir(), 'polymode-tokenizer-'));
    const script = fileURLToPath(new URL('../dist/base-model/make-tokenizer.js', import.meta.url));
    execFileSync(process.execPath, [script, '--out', dir]);
    for (const name of readdirSync(dir)) {
      expect(readFileSync(join(dir, name)).equals(readFileSync(join(shipped, name))), name).toBe(true);
    }
    rmSync(dir, { recursive: true, force: true });
  });

  it('is at most 8 MB', () => {
    const bytes = readdirSync(shipped).reduce((sum, name) => sum + statSync(join(shipped, name)).size, 0);
    expect(bytes).toBeLessThan(8e6);
  });

  it('answers both tasks in their format, right and wrong alike', async () => {
    const [{ config, weights }, tokenizer] = [await readModelFolder(shipped), await loadTokenizer(shipped)];
    const engine = new Engine({ threads: 2 });
    const policy = new Policy(config, engine, { paddingToken: tokenizer.paddingToken });
    await policy.setWeights(weights);
    for (const [task, rows] of [
      [tasks['hypospace/voxel'], tasks['hypospace/voxel'].generate({ blocks: 3, count: 20, seed: 2601 })],
      [tasks['hypospace/boolean'], tasks['hypospace/boolean'].generate({ maxDepth: 2, count: 20, seed: 1 })],
    ] as const) {
      const groups = await policy.sample(
        rows.map((row) => tokenizer.encodeChat(row.messages)),
        20,
        (prompt, sample) => uniforms({ seed: 1, stream: 9, step: prompt, row: sample, count: 32 }),
        { maxTokens: 32, stopTokens: tokenizer.stopTokens },
      );
      const answers = groups.flatMap((group, i) =>
        group.map((c) => task.assess(tokenizer.decode(c.tokens), { ...rows[i]! })),
      );
      const parsed = answers.filter((a) => a.key !== null).length / answers.length;
      expect(parsed, task.name).toBeGreaterThan(0.95);
      // Room to learn in both directions, on views that it has never seen.
      expect(validity(answers), task.name).toBeGreaterThan(0.4);
      expect(validity(answers), task.name).toBeLessThan(0.9);
    }
    await engine.close();
  });
});
