// Reinforcement fine-tuning: a grader made of several, tried on an answer before it is trained on.
import OpenAI, { toFile } from 'openai';

const client = new OpenAI();
const rows = Array.from({ length: 8 }, (_, i) => ({
  messages: [{ role: 'user', content: `Name the digit after ${i}.` }],
  answer: String(i + 1),
}));
const text = (some) => Buffer.from(some.map((row) => `${JSON.stringify(row)}\n`).join(''));
const upload = async (name, some) =>
  (await client.files.create({ file: await toFile(text(some), name), purpose: 'fine-tune' })).id;
const [training, validation] = [
  await upload('train.jsonl', rows.slice(0, 6)),
  await upload('valid.jsonl', rows.slice(6)),
];

const grader = {
  type: 'multi',
  name: 'digit',
  graders: {
    exact: {
      type: 'string_check',
      name: 'exact',
      operation: 'eq',
      input: '{{sample.output_text}}',
      reference: '{{item.answer}}',
    },
    close: {
      type: 'text_similarity',
      name: 'close',
      evaluation_metric: 'fuzzy_match',
      input: '{{sample.output_text}}',
      reference: '{{item.answer}}',
    },
  },
  calculate_output: '0.8 * exact + 0.2 * close',
};
await client.fineTuning.alpha.graders.validate({ grader });
const trial = await client.fineTuning.alpha.graders.run({ grader, model_sample: '4', item: { answer: '4' } });
console.log(`A right answer earns ${trial.reward}: ${JSON.stringify(trial.sub_rewards)}`);

let job = await client.fineTuning.jobs.create({
  model: process.env.OPENAI_MODEL ?? 'polymode-tiny',
  training_file: training,
  validation_file: validation,
  method: {
    type: 'reinforcement',
    reinforcement: { grader, hyperparameters: { n_epochs: 2, eval_interval: 1, eval_samples: 1 } },
  },
});
while (job.finished_at === null) {
  await new Promise((resolve) => setTimeout(resolve, 500));
  job = await client.fineTuning.jobs.retrieve(job.id);
}
if (job.status !== 'succeeded') throw new Error(`${job.id} ${job.status}: ${job.error?.message}`);
for await (const { fine_tuned_model_checkpoint, metrics } of client.fineTuning.jobs.checkpoints.list(job.id)) {
  console.log(fine_tuned_model_checkpoint, JSON.stringify(metrics));
}
