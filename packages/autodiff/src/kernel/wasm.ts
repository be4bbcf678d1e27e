/** WebAssembly binary format, writing only: a module of numeric functions over one memory of their own. */

export type Code = readonly number[];

export const I32 = 0x7f;
export const F32 = 0x7d;
export const F64 = 0x7c;
export const V128 = 0x7b;

export function unsigned(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  do {
    const low = rest & 0x7f;
    rest >>>= 7;
    bytes.push(rest === 0 ? low : low | 0x80);
  } while (rest !== 0);
  return bytes;
}

const vector = (items: readonly Code[]): number[] => [...unsigned(items.length), ...items.flat()];
const section = (id: number, body: Code): number[] => [id, ...unsigned(body.length), ...body];
const text = (value: string): number[] => vector([...new TextEncoder().encode(value)].map((b) => [b]));

const simd =
  (code: number, operands: number): ((...inputs: Code[]) => number[]) =>
  (...inputs) => {
    if (inputs.length !== operands) throw new Error(`instruction ${code} takes ${operands} operands`);
    return [...inputs.flat(), 0xfd, ...unsigned(code)];
  };

export const f32x4 = {
  splat: simd(0x13, 1),
  neg: simd(0xe1, 1),
  sqrt: simd(0xe3, 1),
  add: simd(0xe4, 2),
  sub: simd(0xe5, 2),
  mul: simd(0xe6, 2),
  div: simd(0xe7, 2),
};
export const f64x2 = {
  add: simd(0xf0, 2),
  mul: simd(0xf2, 2),
  /** the first two floats of four as doubles */
  promoteLow: simd(0x5f, 1),
  lane: (x: Code, lane: 0 | 1): number[] => [...x, 0xfd, 0x21, lane],
};
/** The last two floats of four moved to the front. */
export const upperHalf = (x: Code): number[] => [
  ...x,
  ...x,
  ...[0xfd, 0x0d, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7],
];
export const f64Add = (a: Code, b: Code): number[] => [...a, ...b, 0xa0];
export const f32Const = (value: number): number[] => [0x43, ...new Uint8Array(Float32Array.of(value).buffer)];
export const get = (local: number): number[] => [0x20, ...unsigned(local)];
export const set = (local: number, value: Code): number[] => [...value, 0x21, ...unsigned(local)];
export const load = (address: Code, offset: number): number[] => [...address, 0xfd, 0x00, 4, ...unsigned(offset)];
export const store = (address: Code, offset: number, value: Code): number[] => [
  ...address,
  ...value,
  ...[0xfd, 0x0b, 4],
  ...unsigned(offset),
];
/** Runs a body for the counter 0, 16, 32, … below a limit; the body runs at least once. */
export const each16Bytes = (counter: number, limit: number, body: Code): number[] => [
  ...[0x03, 0x40],
  ...body,
  ...set(counter, [...get(counter), 0x41, 16, 0x6a]),
  ...[...get(counter), ...get(limit), 0x49],
  ...[0x0d, 0, 0x0b],
];

export interface WasmFunction {
  readonly name: string;
  readonly parameters: readonly number[];
  readonly results: readonly number[];
  readonly locals: readonly number[];
  readonly body: Code;
}

/** What is used of the runtime's WebAssembly; its types come with the DOM's, which do not belong here. */
interface WebAssemblyRuntime {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: Readonly<Record<string, unknown>> };
}

export type NumericFunction = (...args: number[]) => number;

/** Makes what a module exports: its memory, and its functions by name. */
export function instantiate(bytes: Uint8Array): { memory: ArrayBuffer; call(name: string): NumericFunction } {
  const { Module, Instance } = (globalThis as unknown as { WebAssembly: WebAssemblyRuntime }).WebAssembly;
  const { exports } = new Instance(new Module(bytes));
  return {
    memory: (exports.memory as { buffer: ArrayBuffer }).buffer,
    call: (name) => exports[name] as NumericFunction,
  };
}

/** @returns a module that exports the functions and their `memory` */
export function encodeModule(functions: readonly WasmFunction[], memoryBytes: number): Uint8Array<ArrayBuffer> {
  const END = 0x0b;
  const FUNCTION_TYPE = 0x60;
  const bodies = functions.map((f) => {
    const code = [...vector(f.locals.map((type) => [1, type])), ...f.body, END];
    return [...unsigned(code.length), ...code];
  });
  const exports = functions.map((f, i) => [...text(f.name), 0, ...unsigned(i)]);
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(
      1,
      vector(
        functions.map((f) => [
          FUNCTION_TYPE,
          ...vector(f.parameters.map((t) => [t])),
          ...vector(f.results.map((t) => [t])),
        ]),
      ),
    ),
    ...section(3, vector(functions.map((_, i) => unsigned(i)))),
    ...section(5, vector([[0, ...unsigned(Math.ceil(memoryBytes / 65_536))]])),
    ...section(7, vector([[...text('memory'), 2, 0], ...exports])),
    ...section(10, vector(bodies)),
  ]);
}
