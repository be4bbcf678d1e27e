// The loop that most scripts have: poll while the job is running or queued; and a job that is cancelled.
import OpenAI, { toFile } from 'openai';

const client = new OpenAI();
const line = `${JSON.stringify({ prompt: 'Say yes.', completion: 'yes' })}\n`;
const file = await client.files.create({
  file: await toFile(Buffer.from(line.repeat(10)), 'yes.jsonl'),
  purpose: 'fine-tune',
});
const create = (n_epochs) =>
  client.fineTuning.jobs.create({
    model: process.env.OPENAI_MODEL ?? 'polymode-tiny',
    training_file: file.id,
    method: { type: 'supervised', supervised: { hyperparameters: { n_epochs } } },
  });

let job = await create(1);
while (job.status === 'running' || job.status === 'queued') {
  await new Promise((resolve) => setTimeout(resolve, 500));
  job = await client.fineTuning.jobs.retrieve(job.id);
}
console.log(`The first job ${job.status}`);
const cancelled = await client.fineTuning.jobs.cancel((await create(50)).id);
console.log(`The second job ${cancelled.status}`);
for await (const one of client.fineTuning.jobs.list({ limit: 1 })) console.log(one.id, one.status);
