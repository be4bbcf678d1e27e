// Samples once with a random model of the shape given as JSON, and prints the bytes that it took beside the weights.
import { Engine } from '@polymode/autodiff';
import { Policy, parameterShapes, samplingBytes, uniforms } from '@polymode/policy';

const { config, size } = JSON.parse(process.argv[2]);
const engine = new Engine();
const policy = new Policy(config, engine, { paddingToken: 0 });
const weight = (shape) => new Float32Array(shape.reduce((a, b) => a * b, 1)).map((_, i) => Math.sin(i) / 10);
await policy.setWeights(
  Object.fromEntries(Object.entries(parameterShapes(config)).map(([n, shape]) => [n, { shape, data: weight(shape) }])),
);
const group = size.rows / size.prompts;
const draw = (prompts, most) =>
  policy.sample(prompts, group, (p, row) => uniforms({ seed: 1, stream: 0, step: p, row, count: most }), {
    maxTokens: most,
    stopTokens: [],
  });
const prompt = (n, length) => Array.from({ length }, (_, i) => (n * 31 + i * 7) % config.vocabSize);
// Sessions and code are there before.
await draw([prompt(0, 8)], 3);
const before = await engine.memory(true);
await draw(
  Array.from({ length: size.prompts }, (_, n) => prompt(n, size.promptTokens)),
  size.maxTokens,
);
const after = await engine.memory();
const measured = after.peakResident - before.resident;
process.stdout.write(JSON.stringify({ measured, estimated: samplingBytes(config, size) }));
await engine.close();
