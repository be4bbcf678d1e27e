/**
 * Runs an exported ONNX folder in transformers.js: `node onnx-child.js FOLDER THREADS`, a JSON list of tokens on standard
 * input, logits [T, V] as float32 on standard output. The last token goes in alone, on the cache of those before it, so that
 * the cache is checked too.
 */
import { once } from 'node:events';
import { json } from 'node:stream/consumers';
import { AutoModelForCausalLM, env, Tensor } from '@huggingface/transformers';

const [folder, threads] = process.argv.slice(2) as [string, string];
const tokens = (await json(process.stdin)) as number[];
env.allowRemoteModels = false;
const model = await AutoModelForCausalLM.from_pretrained(folder, {
  dtype: 'fp32',
  local_files_only: true,
  session_options: { intraOpNumThreads: Number(threads) },
});
const int64 = (values: number[]): Tensor =>
  new Tensor('int64', BigInt64Array.from(values.map(BigInt)), [1, values.length]);
const [first, last] = [tokens.slice(0, -1), tokens.slice(-1)];
const parts: Float32Array[] = [];
let cache: Record<string, unknown> = {};
if (first.length > 0) {
  const out = await model({ input_ids: int64(first), attention_mask: int64(first.map(() => 1)) });
  parts.push(out.logits.data as Float32Array);
  cache = {
    past_key_values: Object.fromEntries(
      Object.entries(out)
        .filter(([name]) => name.startsWith('present.'))
        .map(([name, value]) => [name.replace('present', 'past_key_values'), value]),
    ),
  };
}
const out = await model({
  input_ids: int64(last),
  attention_mask: int64(tokens.map(() => 1)),
  position_ids: int64([tokens.length - 1]),
  ...cache,
});
parts.push(out.logits.data as Float32Array);
for (const part of parts) {
  if (!process.stdout.write(new Uint8Array(part.buffer, part.byteOffset, part.byteLength))) {
    await once(process.stdout, 'drain');
  }
}
process.stdout.end();
