/**
 * The thread that owns onnxruntime: sessions, and variables that stay where they are computed between runs.
 * `session.run` blocks its thread, so this one does nothing else.
 */
import { parentPort } from 'node:worker_threads';
import ort from 'onnxruntime-node';
import { encodeModel } from '../onnx/model.js';
import type { Feed, Fetch, FrozenSource, Reply, Request, SessionOptions, Value } from './protocol.js';

const port = parentPort;
if (port === null) throw new Error('thread.js runs as a worker thread only');

// Severity 3: errors. Warnings here are about unused initializers and node placement.
ort.env.logLevel = 'error';

const sessions = new Map<number, ort.InferenceSession>();
const variables = new Map<string, ort.Tensor>();
let nextSession = 1;

type OrtData = Float32Array | Int32Array | BigInt64Array | Uint8Array;

function toTensor(value: Value): ort.Tensor {
  return new ort.Tensor(value.dtype, value.data as Float32Array, value.shape as number[]);
}

async function toValue(tensor: ort.Tensor): Promise<Value> {
  const here = tensor.location === 'gpu-buffer' ? await download(tensor) : tensor;
  return { dtype: here.type as Value['dtype'], shape: here.dims, data: here.data as OrtData };
}

/** A session for each type that hands its input back in this process's memory. */
const downloads = new Map<string, Promise<ort.InferenceSession>>();

/**
 * Brings a tensor back from the device, by a model that is a single Identity: `getData()` of a tensor that lives on the
 * device aborts the process in onnxruntime-node 1.30.
 */
async function download(tensor: ort.Tensor): Promise<ort.Tensor> {
  const dtype = tensor.type as Value['dtype'];
  let session = downloads.get(dtype);
  if (session === undefined) {
    const model = encodeModel({
      name: 'download',
      nodes: [{ opType: 'Identity', domain: '', inputs: ['there'], outputs: ['here'], attributes: {} }],
      initializers: [],
      inputs: [{ name: 'there', dtype, shape: null }],
      outputs: [{ name: 'here', dtype, shape: null }],
    });
    session = ort.InferenceSession.create(model, { executionProviders: ['webgpu'] });
    downloads.set(dtype, session);
  }
  const { here } = await (await session).run({ there: tensor });
  return here!;
}

function variable(name: string): ort.Tensor {
  const tensor = variables.get(name);
  if (tensor === undefined) throw new Error(`the engine has no variable "${name}"`);
  return tensor;
}

/** Replaces a variable, and frees the old buffer where it lives on a device. */
function keep(name: string, tensor: ort.Tensor): void {
  const before = variables.get(name);
  variables.set(name, tensor);
  if (before !== undefined && before !== tensor) before.dispose();
}

/** A frozen tensor's bytes, as the variable holds them. */
async function bytesOf({ name, variable: from, dtype, shape }: FrozenSource): Promise<Uint8Array> {
  const held = await toValue(variable(from));
  if (held.dtype !== dtype || held.shape.join() !== shape.join()) {
    throw new Error(
      `the frozen tensor "${name}" is ${dtype} [${shape}], but the variable "${from}" is ${held.dtype} [${held.shape}]`,
    );
  }
  return new Uint8Array(held.data.buffer, held.data.byteOffset, held.data.byteLength);
}

async function compile(
  model: Uint8Array,
  options: SessionOptions,
  kept: readonly string[],
  frozen: readonly FrozenSource[],
): Promise<number> {
  const onDevice = options.provider === 'webgpu';
  const externalData: { path: string; data: Uint8Array }[] = [];
  for (const source of frozen) externalData.push({ path: source.location, data: await bytesOf(source) });
  const session = await ort.InferenceSession.create(model, {
    executionProviders: [options.provider],
    intraOpNumThreads: options.threads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
    // Memory patterns cost memory and gain nothing here (400 against 645 MB for one 135M step).
    enableMemPattern: false,
    ...(externalData.length > 0 ? { externalData } : {}),
    ...(onDevice && kept.length > 0
      ? { preferredOutputLocation: Object.fromEntries(kept.map((name) => [name, 'gpu-buffer' as const])) }
      : {}),
  });
  sessions.set(nextSession, session);
  return nextSession++;
}

async function run(
  id: number,
  feeds: Record<string, Feed>,
  fetches: Record<string, Fetch>,
): Promise<Record<string, Value>> {
  const session = sessions.get(id);
  if (session === undefined) throw new Error(`session ${id} was released`);
  const inputs: Record<string, ort.Tensor> = {};
  for (const [name, feed] of Object.entries(feeds)) {
    inputs[name] = 'variable' in feed ? variable(feed.variable) : toTensor(feed);
  }
  const results = await session.run(inputs, Object.keys(fetches));
  const returned: Record<string, Value> = {};
  for (const [name, fetch] of Object.entries(fetches)) {
    const tensor = results[name]!;
    if (fetch === 'return') returned[name] = await toValue(tensor);
    else keep(fetch.variable, tensor);
  }
  return returned;
}

async function answer(request: Request): Promise<unknown> {
  switch (request.kind) {
    case 'compile':
      return compile(request.model, request.options, request.kept, request.frozen);
    case 'run':
      return run(request.session, request.feeds, request.fetches);
    case 'set':
      for (const [name, value] of Object.entries(request.values)) keep(name, toTensor(value));
      return undefined;
    case 'get': {
      const values: Record<string, Value> = {};
      for (const name of request.names) {
        const { dtype, shape, data } = await toValue(variable(name));
        // A copy: the variable stays here, and a message may not carry what it still uses.
        values[name] = { dtype, shape, data: data.slice() };
      }
      return values;
    }
    case 'copy': {
      const { dtype, shape, data } = await toValue(variable(request.from));
      keep(request.to, toTensor({ dtype, shape, data: data.slice() }));
      return undefined;
    }
    case 'drop':
      for (const name of request.names) {
        variables.get(name)?.dispose();
        variables.delete(name);
      }
      return undefined;
    case 'shut down':
      // A device's buffers and sessions must be gone before its thread is: the runtime aborts the process otherwise.
      for (const tensor of variables.values()) tensor.dispose();
      variables.clear();
      for (const session of [...sessions.values(), ...(await Promise.all(downloads.values()))]) await session.release();
      sessions.clear();
      downloads.clear();
      return undefined;
    case 'release':
      await sessions.get(request.session)?.release();
      sessions.delete(request.session);
      return undefined;
  }
}

// One request at a time, in the order in which they were sent.
let queue = Promise.resolve();
port.on('message', ({ id, request }: { id: number; request: Request }) => {
  queue = queue.then(async () => {
    let reply: Reply;
    try {
      reply = { id, result: await answer(request) };
    } catch (error) {
      const { message, stack } = error instanceof Error ? error : new Error(String(error));
      reply = { id, error: { message, ...(stack === undefined ? {} : { stack }) } };
    }
    port.postMessage(reply);
  });
});
