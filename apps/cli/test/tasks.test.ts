import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { compileGrader, tasks } from '@polymode/verifiers';
import { describe, expect, it } from 'vitest';

const main = fileURLToPath(new URL('../dist/main.js', import.meta.url));

interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}
const run = (...args: string[]): Promise<Ran> =>
  new Promise((done) => {
    execFile(process.execPath, [main, 'tasks', ...args], { maxBuffer: 2 ** 26 }, (error, stdout, stderr) => {
      done({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
const rowsOf = (text: string): Record<string, unknown>[] => {
  expect(text.endsWith('\n')).toBe(true);
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
};

describe('polymode tasks', () => {
  it('lists every task that graders can name', async () => {
    expect((await run('list')).stdout.trim().split('\n')).toEqual(Object.keys(tasks));
  });

  it.each(Object.keys(tasks))(
    'generates rows of %s that its grader accepts, the same for the same seed',
    async (task) => {
      const { code, stdout, stderr } = await run('generate', task, '--n', '9', '--seed', '7');
      expect({ code, stderr }).toEqual({ code: 0, stderr: `9 rows of ${task}\n` });
      const grader = compileGrader({ type: 'task', task });
      for (const { messages, ...item } of rowsOf(stdout)) {
        expect(messages).toMatchObject([{ role: 'user' }]);
        expect(grader.checkItem(item)).toEqual([]);
      }
      expect((await run('generate', task, '--n', '9', '--seed', '7')).stdout).toBe(stdout);
      expect((await run('generate', task, '--n', '9', '--seed', '8')).stdout).not.toBe(stdout);
    },
  );

  it('hands a task its own options', async () => {
    const rows = rowsOf(
      (await run('generate', 'hypospace/voxel', '--n', '2', '--grid', '4', '--max-height', '2')).stdout,
    );
    expect(rows).toMatchObject([
      { grid: 4, max_height: 2 },
      { grid: 4, max_height: 2 },
    ]);
    expect(
      rowsOf((await run('generate', 'hypospace/causal', '--nodes', '3', '--up-to')).stdout).length,
    ).toBeGreaterThan(9);
    expect(
      rowsOf(
        (await run('generate', 'hypergrid', '--n', '1', '--min-side', '9', '--max-side', '9', '--r2', '2.5')).stdout,
      ),
    ).toMatchObject([{ dimensions: 2, side: 9, rewards: { r0: 0.1, r1: 0.5, r2: 2.5 } }]);
    expect(
      rowsOf(
        (await run('generate', 'arithmetic/countdown', '--n', '1', '--numbers', '3', '--max-target', '12')).stdout,
      ),
    ).toMatchObject([{ numbers: [expect.any(Number), expect.any(Number), expect.any(Number)] }]);
    const amides = ['molecules/amide-lite', '--n', '1', '--acids', '2', '--linkers', '0', '--outcome', 'scaffold'];
    const [row] = rowsOf((await run('generate', ...amides)).stdout);
    expect(row).toMatchObject({ linkers: [], outcome: 'scaffold' });
    expect(row?.acids).toHaveLength(2);
  });

  it.each<[string[], RegExp]>([
    [[], /^Usage: polymode tasks list/],
    [['generate'], /^Usage: polymode tasks list/],
    [['generate', 'chess'], /^There is no task 'chess'\. There are hypospace\/boolean/],
    [['generate', 'hypospace/voxel', '--nodes', '3'], /--nodes[\s\S]*It has --n, --seed, --style, --grid/],
    [['generate', 'hypospace/voxel', '--n', 'many'], /^--n is 'many'\. Give a whole number\./],
    [['generate', 'hypergrid', '--n', '1', '--r1', 'half'], /^--r1 is 'half'\. Give a number such as 0\.5\./],
    [['generate', 'text/json-schema'], /Set count/],
    [['generate', 'hypospace/voxel', '--style', 'long'], /^--style is 'long'/],
    [['generate', 'hypospace/voxel', '--grid', '0'], /grid/],
    [['generate', 'molecules/amide-lite', '--n', '1', '--outcome', 'atom'], /molecule, scaffold/],
    [['generate', 'molecules/amide-lite'], /Set count/],
  ])('says what is wrong with %j, and writes nothing', async (args, says) => {
    const { code, stdout, stderr } = await run(...args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(says);
  });
});
