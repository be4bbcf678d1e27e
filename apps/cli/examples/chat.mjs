// A conversation with a fine-tuned model or one of its checkpoints, word by word.
import OpenAI from 'openai';

const client = new OpenAI();
const model = process.env.MODEL ?? process.env.OPENAI_MODEL ?? 'polymode-tiny';
const messages = [{ role: 'user', content: 'Is 3 even or odd?' }];

const whole = await client.chat.completions.create({ model, messages, max_completion_tokens: 16, temperature: 0 });
console.log(`${model}: ${whole.choices[0].message.content} (${whole.usage.total_tokens} tokens)`);

const stream = await client.chat.completions.create({
  model,
  messages,
  max_completion_tokens: 16,
  temperature: 0,
  stream: true,
});
let text = '';
for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? '';
console.log(`streamed: ${text}`);
