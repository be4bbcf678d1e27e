/** A process of its own that checks one device, so that a driver may crash: options in, an answer out, as JSON. */
import { selfCheck } from './self-check.js';

const options = JSON.parse(process.argv[2] ?? '{}');
try {
  process.stdout.write(JSON.stringify(await selfCheck(options)));
} catch (error) {
  process.stdout.write(JSON.stringify({ error: error instanceof Error ? error.message : String(error) }));
  process.exitCode = 1;
}
