import type { Shape } from '../shape.js';
import type { DType, TensorData } from '../tensor.js';
import { ProtoWriter } from './wire.js';

/** ONNX in memory, as far as this package writes it. Field numbers below are those of onnx.proto3 (IR version 10). */
export interface OnnxNode {
  readonly opType: string;
  readonly domain: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, OnnxAttribute>>;
}
export type OnnxAttribute =
  | { readonly int: number }
  | { readonly float: number }
  | { readonly ints: readonly number[] }
  | { readonly string: string }
  | { readonly graph: OnnxGraph };
export interface OnnxValue {
  readonly name: string;
  readonly dtype: DType;
  /** null: rank unknown, for loop-carried values whose shape may change */
  readonly shape: Shape | null;
}
export interface ExternalTensor {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly location: string;
  /** where its bytes begin in a file that holds more than them */
  readonly offset?: number;
}
export interface OnnxGraph {
  readonly name: string;
  readonly nodes: readonly OnnxNode[];
  readonly initializers: readonly { name: string; data: TensorData }[];
  /** Initializers whose bytes are handed to the session beside the model, under their location. */
  readonly external?: readonly ExternalTensor[];
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
}

const DATA_TYPE: Record<DType, number> = { float32: 1, int32: 6, int64: 7, bool: 9 };
export function onnxDataType(dtype: DType): number {
  return DATA_TYPE[dtype];
}

const OPSET = 21;

/** Encodes a ModelProto. Equal graphs give equal bytes. */
export function encodeModel(graph: OnnxGraph): Uint8Array {
  const model = new ProtoWriter().int(1, 10).string(2, 'polymode').message(7, encodeGraph(graph));
  for (const [domain, version] of [
    ['', OPSET],
    ['com.microsoft', 1],
  ] as const) {
    model.message(8, new ProtoWriter().string(1, domain).int(2, version));
  }
  return model.finish();
}

function encodeGraph(graph: OnnxGraph): ProtoWriter {
  const writer = new ProtoWriter();
  for (const node of graph.nodes) writer.message(1, encodeNode(node));
  writer.string(2, graph.name);
  for (const { name, data } of graph.initializers) writer.message(5, encodeTensor(name, data));
  for (const tensor of graph.external ?? []) writer.message(5, encodeExternal(tensor));
  for (const value of graph.inputs) writer.message(11, encodeValue(value));
  for (const value of graph.outputs) writer.message(12, encodeValue(value));
  return writer;
}

function encodeNode(node: OnnxNode): ProtoWriter {
  const writer = new ProtoWriter();
  for (const name of node.inputs) writer.string(1, name);
  for (const name of node.outputs) writer.string(2, name);
  writer.string(4, node.opType);
  for (const [name, value] of Object.entries(node.attributes)) writer.message(5, encodeAttribute(name, value));
  if (node.domain !== '') writer.string(7, node.domain);
  return writer;
}

function encodeAttribute(name: string, value: OnnxAttribute): ProtoWriter {
  const writer = new ProtoWriter().string(1, name);
  if ('float' in value) return writer.float(2, value.float).int(20, 1);
  if ('int' in value) return writer.int(3, value.int).int(20, 2);
  if ('string' in value) return writer.string(4, value.string).int(20, 3);
  if ('graph' in value) return writer.message(6, encodeGraph(value.graph)).int(20, 5);
  for (const i of value.ints) writer.int(8, i);
  return writer.int(20, 7);
}

function encodeValue(value: OnnxValue): ProtoWriter {
  const tensorType = new ProtoWriter().int(1, DATA_TYPE[value.dtype]);
  if (value.shape !== null) {
    const shape = new ProtoWriter();
    for (const dim of value.shape) {
      const d = new ProtoWriter();
      if (typeof dim === 'number') d.int(1, dim);
      else d.string(2, dim);
      shape.message(1, d);
    }
    tensorType.message(2, shape);
  }
  return new ProtoWriter().string(1, value.name).message(2, new ProtoWriter().message(1, tensorType));
}

function encodeTensor(name: string, data: TensorData): ProtoWriter {
  const writer = new ProtoWriter();
  for (const d of data.shape) writer.int(1, d);
  return writer.int(2, DATA_TYPE[data.dtype]).string(8, name).bytes(9, rawData(data));
}

const EXTERNAL = 1;
/** float32 and int32 both */
const BYTES_OF_FROZEN = 4;

function encodeExternal({ name, dtype, shape, location, offset }: ExternalTensor): ProtoWriter {
  const writer = new ProtoWriter();
  for (const d of shape) writer.int(1, d);
  const entry = (key: string, value: string): ProtoWriter => new ProtoWriter().string(1, key).string(2, value);
  writer.int(2, DATA_TYPE[dtype]).string(8, name).message(13, entry('location', location));
  if (offset !== undefined) {
    const length = BYTES_OF_FROZEN * shape.reduce((a, b) => a * b, 1);
    writer.message(13, entry('offset', `${offset}`)).message(13, entry('length', `${length}`));
  }
  return writer.int(14, EXTERNAL);
}

function rawData(data: TensorData): Uint8Array {
  const { dtype, values } = data;
  if (dtype === 'bool') return Uint8Array.from(values, (v) => (v ? 1 : 0));
  const typed =
    dtype === 'float32'
      ? Float32Array.from(values)
      : dtype === 'int32'
        ? Int32Array.from(values)
        : BigInt64Array.from(values as readonly number[], (v) => BigInt(v));
  return new Uint8Array(typed.buffer);
}
