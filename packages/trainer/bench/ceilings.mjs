// What this machine can do at best: fp32 matrix products in onnxruntime, and copying memory.
import { once } from 'node:events';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import { compileGraph, Engine, float32, input, matmul } from '@polymode/autodiff';

const SIZE = 2048;
const COPY_BYTES = 128 * 2 ** 20;
const TRIES = 7;

/** @returns {Promise<{ gemmGflops: number, memoryGbPerS: number }>} the best of several tries each */
export async function measureCeilings(threads) {
  return { gemmGflops: await gemm(threads), memoryGbPerS: await copying(threads) };
}

async function gemm(threads) {
  const engine = new Engine({ threads });
  try {
    const [a, b] = ['a', 'b'].map((name) => input(name, 'float32', [SIZE, SIZE]));
    const session = await engine.compile(compileGraph({ c: matmul(a, b) }, engine.profile), ['c']);
    const values = new Float32Array(SIZE * SIZE).map((_, i) => Math.sin(i));
    await engine.set({ a: float32(values, [SIZE, SIZE]), b: float32(values, [SIZE, SIZE]) });
    const feeds = { a: { variable: 'a' }, b: { variable: 'b' } };
    const seconds = await best(() => session.run(feeds, { c: { variable: 'c' } }));
    return (2 * SIZE ** 3) / seconds / 1e9;
  } finally {
    await engine.close();
  }
}

/** Every byte copied is read once and written once. */
async function copying(threads) {
  const workers = Array.from({ length: threads }, () => new Worker(new URL(import.meta.url)));
  try {
    const all = () =>
      Promise.all(
        workers.map((worker) => {
          worker.postMessage('copy');
          return once(worker, 'message');
        }),
      );
    return (2 * threads * COPY_BYTES) / (await best(all)) / 1e9;
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

async function best(task) {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < TRIES; i++) {
    const started = performance.now();
    await task();
    least = Math.min(least, (performance.now() - started) / 1000);
  }
  return least;
}

if (!isMainThread) {
  const [from, to] = [new Float64Array(COPY_BYTES / 8).fill(1), new Float64Array(COPY_BYTES / 8)];
  parentPort.on('message', () => {
    to.set(from);
    parentPort.postMessage('done');
  });
}
