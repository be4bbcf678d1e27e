/**
 * The thread that owns onnxruntime: sessions, and variables that stay where they are computed between runs.
 * `session.run` blocks its thread, so this one does nothing else.
 */
import { parentPort } from 'node:worker_threads';
import ort from 'onnxruntime-node';
import { type Kernel, KernelRunner, SumOfSquares } from '../kernel/kernel.js';
import { encodeModel } from '../onnx/model.js';
import { resetPeakMemory, residentMemory } from './memory.js';
import type {
  Application,
  EngineMemory,
  ExecutionProvider,
  Feed,
  Fetch,
  FrozenSource,
  Reply,
  Request,
  SessionOptions,
  Value,
} from './protocol.js';
import { Variables } from './variables.js';

const port = parentPort;
if (port === null) throw new Error('thread.js runs as a worker thread only');

// Severity 3: errors. Warnings here are about unused initializers and node placement.
ort.env.logLevel = 'error';

const sessions = new Map<number, { readonly session: ort.InferenceSession; readonly provider: ExecutionProvider }>();
const variables = new Variables();
const squares = new SumOfSquares();
let nextSession = 1;

type OrtData = Float32Array | Int32Array | BigInt64Array | Uint8Array;

function toTensor(value: Value): ort.Tensor {
  return new ort.Tensor(value.dtype, value.data as Float32Array, value.shape as number[]);
}

async function toValue(tensor: ort.Tensor): Promise<Value> {
  const here = tensor.location === 'gpu-buffer' ? await transfer(tensor, 'cpu') : tensor;
  return { dtype: here.type as Value['dtype'], shape: here.dims, data: here.data as OrtData };
}

/** A session for each type and direction that hands its input on, in this process's memory or on the device. */
const transfers = new Map<string, Promise<ort.InferenceSession>>();

/**
 * Brings a tensor to or from the device, by a model that is a single Identity: `getData()` of a tensor that lives on the
 * device aborts the process in onnxruntime-node 1.30.
 */
async function transfer(tensor: ort.Tensor, location: 'cpu' | 'gpu-buffer'): Promise<ort.Tensor> {
  const dtype = tensor.type as Value['dtype'];
  const key = `${dtype} ${location}`;
  let session = transfers.get(key);
  if (session === undefined) {
    const model = encodeModel({
      name: 'transfer',
      nodes: [{ opType: 'Identity', domain: '', inputs: ['from'], outputs: ['to'], attributes: {} }],
      initializers: [],
      inputs: [{ name: 'from', dtype, shape: null }],
      outputs: [{ name: 'to', dtype, shape: null }],
    });
    session = ort.InferenceSession.create(model, {
      executionProviders: ['webgpu'],
      ...(location === 'cpu' ? {} : { preferredOutputLocation: { to: location } }),
    });
    transfers.set(key, session);
  }
  const { to } = await (await session).run({ from: tensor });
  return to!;
}

/** A frozen tensor's bytes, as the variable holds them. */
async function bytesOf({ name, variable: from, dtype, shape }: FrozenSource): Promise<Uint8Array> {
  const held = await toValue(variables.get(from));
  if (held.dtype !== dtype || held.shape.join() !== shape.join()) {
    throw new Error(
      `the frozen tensor "${name}" is ${dtype} [${shape}], but the variable "${from}" is ${held.dtype} [${held.shape}]`,
    );
  }
  return new Uint8Array(held.data.buffer, held.data.byteOffset, held.data.byteLength);
}

async function compile(
  model: Uint8Array,
  { provider, deviceId, threads }: SessionOptions,
  kept: readonly string[],
  frozen: readonly FrozenSource[],
): Promise<number> {
  const externalData: { path: string; data: Uint8Array }[] = [];
  for (const source of frozen) externalData.push({ path: source.location, data: await bytesOf(source) });
  const session = await ort.InferenceSession.create(model, {
    executionProviders: provider === 'cuda' ? [{ name: 'cuda', deviceId: deviceId ?? 0 }, 'cpu'] : [provider],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
    // Memory patterns cost memory and gain nothing here (400 against 645 MB for one 135M step).
    enableMemPattern: false,
    ...(externalData.length > 0 ? { externalData } : {}),
    ...(provider === 'webgpu' && kept.length > 0
      ? { preferredOutputLocation: Object.fromEntries(kept.map((name) => [name, 'gpu-buffer' as const])) }
      : {}),
  });
  sessions.set(nextSession, { session, provider });
  return nextSession++;
}

/** Values of at least so many elements go to the device once, at their first use; smaller ones with every run. */
const UPLOAD_ELEMENTS = 16_384;

async function feedFrom(name: string, provider: ExecutionProvider): Promise<ort.Tensor> {
  const tensor = variables.get(name);
  const wanted = provider === 'webgpu' && tensor.location === 'cpu' && tensor.size >= UPLOAD_ELEMENTS;
  if (!wanted || (tensor.type !== 'float32' && tensor.type !== 'int32')) return tensor;
  const uploaded = await transfer(tensor, 'gpu-buffer');
  variables.keep(name, uploaded);
  return uploaded;
}

async function run({
  session: id,
  feeds,
  fetches,
  overwritable,
}: Extract<Request, { kind: 'run' }>): Promise<Record<string, Value>> {
  const found = sessions.get(id);
  if (found === undefined) throw new Error(`session ${id} was released`);
  const { session, provider } = found;
  const inputs: Record<string, ort.Tensor> = {};
  for (const [name, feed] of Object.entries(feeds)) {
    inputs[name] = 'variable' in feed ? await feedFrom(feed.variable, provider) : toTensor(feed);
  }
  const wanted: Record<string, ort.Tensor | null> = {};
  for (const [name, fetch] of Object.entries(fetches)) {
    wanted[name] = memoryFor(fetch, feeds, overwritable[name] ?? [], provider);
  }
  const results = await session.run(inputs, wanted);
  const returned: Record<string, Value> = {};
  for (const [name, fetch] of Object.entries(fetches)) {
    const tensor = results[name]!;
    if (fetch === 'return') returned[name] = await toValue(tensor);
    else if (wanted[name] === null) variables.keep(fetch.variable, tensor, id);
  }
  return returned;
}

/** Where onnxruntime is to write a result: into an allocated variable, unless this run reads that in another way. */
function memoryFor(
  fetch: Fetch,
  feeds: Readonly<Record<string, Feed>>,
  overwritable: readonly string[],
  provider: ExecutionProvider,
): ort.Tensor | null {
  if (fetch === 'return' || provider === 'webgpu' || !variables.isAllocated(fetch.variable)) return null;
  const readers = Object.entries(feeds).filter(([, f]) => 'variable' in f && f.variable === fetch.variable);
  return readers.every(([name]) => overwritable.includes(name)) ? variables.get(fetch.variable) : null;
}

/** Kernels ready to run, by their code. */
const runners = new Map<string, KernelRunner>();

function apply(kernel: Kernel, applications: readonly Application[]): void {
  const code = Buffer.from(kernel.module).toString('latin1');
  const runner = runners.get(code) ?? new KernelRunner(kernel);
  runners.set(code, runner);
  for (const { vectors, scalars } of applications) {
    const floats = kernel.vectors.map((name) => variables.floats(vectors[name]!));
    const other = floats.find((v) => v.length !== floats[0]!.length);
    if (other !== undefined) {
      throw new Error(`a kernel runs over variables of one length, not ${Object.values(vectors).join(', ')}`);
    }
    runner.over(
      floats,
      kernel.scalars.map((name) => scalars[name]!),
    );
  }
}

function memory(): EngineMemory {
  const { now, peak } = residentMemory();
  const { here, onDevice, count } = variables.sizes();
  return {
    resident: now,
    peakResident: peak,
    variables: here,
    deviceVariables: onDevice,
    variableCount: count,
    sessionCount: sessions.size,
  };
}

/**
 * Ends a session. What it made on a device goes with its memory, and the runtime aborts the process when such a tensor is
 * freed later: variables that hold one come here first, and go back when they are next used.
 */
async function release(id: number): Promise<void> {
  for (const [name, tensor] of variables.madeBy(id)) variables.keep(name, await transfer(tensor, 'cpu'));
  await sessions.get(id)?.session.release();
  sessions.delete(id);
}

async function answer(request: Request): Promise<unknown> {
  switch (request.kind) {
    case 'compile':
      return compile(request.model, request.options, request.kept, request.frozen);
    case 'run':
      return run(request);
    case 'set':
      for (const [name, value] of Object.entries(request.values)) variables.keep(name, toTensor(value));
      return undefined;
    case 'get': {
      const values: Record<string, Value> = {};
      for (const name of request.names) {
        const { dtype, shape, data } = await toValue(variables.get(name));
        // A copy: the variable stays here, and a message may not carry what it still uses.
        values[name] = { dtype, shape, data: data.slice() };
      }
      return values;
    }
    case 'copy': {
      const { dtype, shape, data } = await toValue(variables.get(request.from));
      variables.keep(request.to, toTensor({ dtype, shape, data: data.slice() }));
      return undefined;
    }
    case 'drop':
      variables.drop(request.names);
      return undefined;
    case 'allocate':
      variables.allocate(request.tensors);
      return undefined;
    case 'sum of squares':
      return request.names.reduce((total, name) => total + squares.of(variables.floats(name)), 0);
    case 'apply':
      apply(request.kernel, request.applications);
      return undefined;
    case 'memory': {
      if (request.resetPeak) resetPeakMemory();
      return memory();
    }
    case 'shut down':
      // A device's buffers and sessions must be gone before its thread is: the runtime aborts the process otherwise.
      variables.clear();
      for (const { session } of sessions.values()) await session.release();
      for (const session of await Promise.all(transfers.values())) await session.release();
      sessions.clear();
      transfers.clear();
      return undefined;
    case 'release':
      await release(request.session);
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
    // With nothing left to wait for, the thread ends by itself.
    if (request.kind === 'shut down') port.close();
  });
});
