// `npm run bench`: our figures beside those of PyTorch, transformers and TRL (packages/trainer/bench says what and how), and what
// serving costs (apps/worker/bench). `npm run bench -- inference …` runs one of them, with its own options.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { prepare, root } from './prepare.mjs';

const BENCHES = {
  trainer: ['packages', 'trainer', 'bench', 'bench.mjs'],
  inference: ['apps', 'worker', 'bench', 'inference.mjs'],
};

await prepare();
const [first, ...rest] = process.argv.slice(2);
if (first in BENCHES) process.exit(await run(first, rest));
// Options are the trainer's, as they have always been; the others run with theirs as they are.
const codes = [await run('trainer', process.argv.slice(2))];
if (first === undefined) codes.push(await run('inference', []));
process.exit(Math.max(...codes));

/** @returns its exit code */
function run(name, options) {
  const child = spawn(process.execPath, [join(root, ...BENCHES[name]), ...options], { cwd: root, stdio: 'inherit' });
  return new Promise((done) => child.on('close', (code) => done(code ?? 1)));
}
