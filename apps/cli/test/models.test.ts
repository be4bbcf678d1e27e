import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';

const main = fileURLToPath(new URL('../dist/main.js', import.meta.url));
const dataDir = mkdtempSync(join(tmpdir(), 'polymode-cli-models-'));
afterAll(() => rmSync(dataDir, { recursive: true }));

interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}
const models = (args: string[], env: Record<string, string> = {}): Promise<Ran> =>
  new Promise((done) => {
    const options = { env: { ...process.env, POLYMODE_DATA_DIR: dataDir, ...env } };
    execFile(process.execPath, [main, 'models', ...args], options, (error, stdout, stderr) => {
      done({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });

describe('polymode models', () => {
  it('lists what jobs can name', async () => {
    const { code, stdout } = await models(['list']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^polymode-tiny\t0\.\dM\tsafetensors\t\//m);
  });

  it('says what went wrong and what to do', async () => {
    const { code, stderr } = await models(['pull', 'test/tiny'], { HF_ENDPOINT: 'http://127.0.0.1:1' });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^http:\/\/127\.0\.0\.1:1 cannot be reached .*HF_ENDPOINT/);
    expect((await models(['pull', 'tiny'])).stderr).toMatch(/expected owner\/name/);
  });

  it.each([[[]], [['pull']], [['push', 'a/b']], [['pull', 'a/b', 'c/d']], [['list', '--all']]])(
    'says how to call it when it is called as %j',
    async (args) => {
      const { code, stderr } = await models(args);
      expect(code).toBe(2);
      expect(stderr).toContain('Usage: polymode models list');
    },
  );
});
