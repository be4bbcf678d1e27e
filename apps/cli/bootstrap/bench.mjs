// `npm run bench`: our figures beside those of PyTorch, transformers and TRL; packages/trainer/bench says what and how.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { prepare, root } from './prepare.mjs';

await prepare();
const script = join(root, 'packages', 'trainer', 'bench', 'bench.mjs');
const child = spawn(process.execPath, [script, ...process.argv.slice(2)], { cwd: root, stdio: 'inherit' });
child.on('close', (code) => process.exit(code ?? 1));
