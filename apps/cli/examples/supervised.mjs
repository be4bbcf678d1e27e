// Supervised fine-tuning: upload conversations, create a job, follow its events, read its result file.
import OpenAI, { toFile } from 'openai';

const client = new OpenAI();
const conversations = Array.from({ length: 12 }, (_, i) => ({
  messages: [
    { role: 'user', content: `Is ${i} even or odd?` },
    { role: 'assistant', content: i % 2 === 0 ? 'even' : 'odd' },
  ],
}));
const lines = conversations.map((one) => `${JSON.stringify(one)}\n`).join('');
const file = await client.files.create({
  file: await toFile(Buffer.from(lines), 'parity.jsonl'),
  purpose: 'fine-tune',
});
await client.files.waitForProcessing(file.id);

let job = await client.fineTuning.jobs.create({
  model: process.env.OPENAI_MODEL ?? 'polymode-tiny',
  training_file: file.id,
  suffix: 'parity',
  hyperparameters: { n_epochs: 2 },
});
console.log(`Created ${job.id}`);

const told = new Set();
for (;;) {
  job = await client.fineTuning.jobs.retrieve(job.id);
  const { data } = await client.fineTuning.jobs.listEvents(job.id, { limit: 100 });
  // Newest first.
  for (const event of data.toReversed()) {
    if (!told.has(event.id)) console.log(event.message);
    told.add(event.id);
  }
  if (job.finished_at !== null) break;
  await new Promise((resolve) => setTimeout(resolve, 500));
}
if (job.status !== 'succeeded') throw new Error(`${job.id} ${job.status}: ${job.error?.message}`);
console.log(`Model ${job.fine_tuned_model}`);
console.log(await (await client.files.content(job.result_files[0])).text());
