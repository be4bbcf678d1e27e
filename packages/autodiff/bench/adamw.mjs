/**
 * AdamW over the 135 million values of a SmolLM2-135M-shaped model, against torch.optim.AdamW, taken in turns on the
 * same cores. Ours clips by global norm and checks for values that are not finite; the peer's clipping is timed apart.
 *
 *     node packages/autodiff/bench/adamw.mjs [--rounds 9] [--threads 2] [--python path/to/python]
 *
 * The last line is JSON: { ours_ms, peer_ms, ratio, memory_gb_per_s, fraction_of_memory }. Times are medians; ratio is
 * peer_ms / ours_ms, without the peer's clipping; the fraction is of what one thread reaches that copies memory.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { AdamW, Engine, float32 } from '@polymode/autodiff';

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '9' },
    threads: { type: 'string', default: '2' },
    python: { type: 'string', default: process.env.POLYMODE_BENCH_PYTHON ?? 'python3' },
  },
});
const rounds = Number(options.rounds);
const threads = Number(options.threads);

const [LAYERS, WIDTH, KEYS, HIDDEN, VOCABULARY] = [30, 576, 192, 1536, 49152];
const layer = [
  ...[[WIDTH], [WIDTH, WIDTH], [KEYS, WIDTH], [KEYS, WIDTH], [WIDTH, WIDTH]],
  ...[[WIDTH], [HIDDEN, WIDTH], [HIDDEN, WIDTH], [WIDTH, HIDDEN]],
];
const shapes = [[VOCABULARY, WIDTH], ...Array.from({ length: LAYERS }, () => layer).flat(), [WIDTH]];
const size = (shape) => shape.reduce((a, b) => a * b, 1);

const peer = await startPeer();
const engine = new Engine({ threads });
const parameters = shapes.map((shape, i) => ({
  ...{ value: `w${i}`, gradient: `g${i}`, moment1: `m${i}`, moment2: `v${i}` },
  shape,
  decayed: shape.length > 1,
}));
for (const kind of ['value', 'gradient', 'moment1', 'moment2']) {
  await engine.allocate(parameters.map((p) => ({ name: p[kind], shape: p.shape })));
}
for (const [i, p] of parameters.entries()) {
  const series = (scale) => Float32Array.from({ length: size(p.shape) }, (_, k) => scale * Math.sin(k + i));
  await engine.move({ [p.value]: float32(series(1), p.shape), [p.gradient]: float32(series(0.01), p.shape) });
}
const optimizer = new AdamW(engine, parameters, { weightDecay: 0.01 });

const [ours, theirs, clips] = [[], [], []];
for (let i = -2; i < rounds; i++) {
  const begin = performance.now();
  await optimizer.step(i + 3, 1e-3);
  const took = performance.now() - begin;
  const answer = await peer?.step();
  // The first two touch memory for the first time.
  if (i < 0) continue;
  ours.push(took);
  if (answer !== undefined) {
    theirs.push(answer.step_ms);
    clips.push(answer.clip_ms);
  }
}
await engine.close();
peer?.stop();

const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];
const round = (x) => Math.round(x * 100) / 100;
const count = shapes.reduce((n, s) => n + size(s), 0);
const oursMs = median(ours);
// The norm reads one vector; the update reads four and writes three.
const [oursRate, copyRate] = [(count * 32) / oursMs / 1e6, copyingRate()];
console.log(`${(count / 1e6).toFixed(1)} million values, ${threads} threads, median of ${rounds}`);
console.log(
  `ours:  ${oursMs.toFixed(0)} ms with clipping, ${oursRate.toFixed(1)} GB/s, ` +
    `${((100 * oursRate) / copyRate).toFixed(0)} % of a copy's ${copyRate.toFixed(1)} GB/s`,
);
if (peer !== null) {
  console.log(`torch: ${median(theirs).toFixed(0)} ms, and ${median(clips).toFixed(0)} ms to clip (${peer.version})`);
}
const peerMs = peer === null ? null : median(theirs);
console.log(
  JSON.stringify({
    ours_ms: round(oursMs),
    peer_ms: peerMs === null ? null : round(peerMs),
    ratio: peerMs === null ? null : round(peerMs / oursMs),
    memory_gb_per_s: round(copyRate),
    fraction_of_memory: round(oursRate / copyRate),
  }),
);

/** GB/s of one thread that copies memory: every byte is read once and written once. */
function copyingRate() {
  const [from, to] = [new Float32Array(2 ** 26).fill(1), new Float32Array(2 ** 26)];
  const times = Array.from({ length: 7 }, () => {
    const begin = performance.now();
    to.set(from);
    return performance.now() - begin;
  });
  return (2 * from.byteLength) / Math.min(...times) / 1e6;
}

async function startPeer() {
  if (spawnSync(options.python, ['-c', 'import torch']).status !== 0) {
    console.log(`the peer is not installed: pip install -r requirements.txt for ${options.python}`);
    return null;
  }
  const script = fileURLToPath(new URL('./adamw_peer.py', import.meta.url));
  const child = spawn(options.python, [script], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => JSON.parse((await lines.next()).value);
  child.stdin.write(`${JSON.stringify({ shapes, threads })}\n`);
  const { torch } = await next();
  return {
    version: torch,
    step: () => {
      child.stdin.write('step\n');
      return next();
    },
    stop: () => child.stdin.end(),
  };
}
