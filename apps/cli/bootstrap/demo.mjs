// `npm run demo`: from a fresh clone to two trained checkpoints and a report.
import { handOver, prepare } from './prepare.mjs';

await prepare();
handOver('apps/cli/dist/demo/main.js', process.argv.slice(2));
