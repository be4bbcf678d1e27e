// `npm run bench`: the API's load (apps/api/bench), then our figures beside those of PyTorch, transformers and TRL
// (packages/trainer/bench); their READMEs say what and how. `--figures load` is the first alone.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { prepare, root } from './prepare.mjs';

await prepare();
const args = process.argv.slice(2);
const at = args.findIndex((arg) => arg === '--figures' || arg.startsWith('--figures='));
const figures = at < 0 ? undefined : args[at].includes('=') ? args[at].split('=')[1] : args[at + 1];
const load =
  figures === undefined || figures.split(',').includes('load') ? await run('apps/api/bench/load.mjs', []) : 0;
const others = figures === 'load' ? 0 : await run('packages/trainer/bench/bench.mjs', args);
process.exit(load || others);

function run(script, scriptArgs) {
  const child = spawn(process.execPath, [join(root, script), ...scriptArgs], { cwd: root, stdio: 'inherit' });
  return new Promise((resolve) => child.on('close', (code) => resolve(code ?? 1)));
}
