// `npm test`: everything, from a fresh clone. The last line counts.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { installTestPackages } from './debian-packages.mjs';
import { prepare, root } from './prepare.mjs';

await prepare();
await installTestPackages();

const folder = mkdtempSync(join(tmpdir(), 'polymode-tests-'));
const results = join(folder, 'results.json');
const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
const args = ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${results}`, ...process.argv.slice(2)];
const child = spawn(process.execPath, [vitest, ...args], { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
child.on('close', (code) => {
  let counts = { numPassedTests: 0, numFailedTests: 0, numPendingTests: 0, numTodoTests: 0 };
  try {
    counts = JSON.parse(readFileSync(results, 'utf8'));
  } catch {
    console.log('The test runner left no results.');
  }
  rmSync(folder, { recursive: true, force: true });
  const { numPassedTests: passed, numFailedTests: failed, numPendingTests: pending, numTodoTests: todo } = counts;
  console.log(`${passed} passed, ${failed} failed, ${pending + todo} skipped`);
  process.exit(code !== 0 ? (code ?? 1) : passed === 0 || failed > 0 ? 1 : 0);
});
