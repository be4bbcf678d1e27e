// A worker that takes a job, says so, and never ends it. For being killed.
import { createJobWorker } from '@polymode/queue';

createJobWorker(
  JSON.parse(process.argv[2]),
  async (jobId) => {
    process.stdout.write(`${jobId}\n`);
    await new Promise(() => {});
  },
  { lockDurationMs: 1000 },
);
