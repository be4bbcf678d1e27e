import { lockDown } from '../child/lockdown.js';
import { serve } from '../child/serve.js';
import { runTimed } from '../child/timed.js';
import { openEvaluator } from './evaluator.js';

/* The program of a process that grades with JavaScript. Argument: the memory limit in mebibytes. */

const evaluator = await openEvaluator(Number(process.argv[2]) * 1024 * 1024);
lockDown();
serve((request) => runTimed(request.timeoutMs, () => evaluator(request)));
