// `npm run up`: the service on this machine, until Ctrl-C.
import { handOver, prepare } from './prepare.mjs';

// With --json the one line on standard output is for a program: what we say goes to standard error.
if (process.argv.includes('--json')) process.stdout.write = process.stderr.write.bind(process.stderr);
await prepare();
handOver('apps/cli/dist/main.js', ['up', ...process.argv.slice(2)]);
