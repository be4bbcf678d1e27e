// `npm run bench`: the API's load beside a bare Fastify route (apps/api/bench), what serving models costs (apps/worker/bench), and
// training, sampling and grading beside PyTorch, transformers and TRL (packages/trainer/bench). `npm run bench -- load` runs one of
// them; options after its name are its own.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { prepare, root } from './prepare.mjs';

const BENCHES = {
  load: 'apps/api/bench/load.mjs',
  inference: 'apps/worker/bench/inference.mjs',
  trainer: 'packages/trainer/bench/bench.mjs',
};

const [first, ...rest] = process.argv.slice(2);
const named = Object.hasOwn(BENCHES, first ?? '');
if (first !== undefined && !named && !first.startsWith('-')) {
  console.error(`There is no bench '${first}'. There are ${Object.keys(BENCHES).join(', ')}.`);
  process.exit(2);
}
await prepare();
const codes = [];
if (named) codes.push(await run(first, rest));
// Options without a name are the trainer's.
else if (first !== undefined) codes.push(await run('trainer', [first, ...rest]));
else for (const name of Object.keys(BENCHES)) codes.push(await run(name, []));
process.exit(Math.max(...codes));

/** @returns its exit code */
function run(name, options) {
  const child = spawn(process.execPath, [join(root, BENCHES[name]), ...options], { cwd: root, stdio: 'inherit' });
  return new Promise((done) => child.on('close', (code) => done(code ?? 1)));
}
