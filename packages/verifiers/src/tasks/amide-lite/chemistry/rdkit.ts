import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type { MainModule, Mol } from '@rdkit/rdkit';

export type { Mol } from '@rdkit/rdkit';

/** The part of the WebAssembly API used here; the types of Node do not have it. */
interface WebAssemblyApi {
  readonly Memory: new (...args: never[]) => { readonly buffer: ArrayBuffer };
  /** what C++ throws */
  readonly Exception: new (
    ...args: never[]
  ) => object;
  compile(bytes: Uint8Array): Promise<object>;
  instantiate(module: object, imports: object): Promise<{ readonly exports: object }>;
}

const { WebAssembly: wasm } = globalThis as unknown as { readonly WebAssembly: WebAssemblyApi };

type Start = (options: {
  print(text: string): void;
  printErr(text: string): void;
  instantiateWasm(imports: object, received: (instance: object, module: object) => void): object;
}) => Promise<MainModule>;

const require = createRequire(import.meta.url);

/** RDKit's minimal library. Objects that it makes live in its memory until they are deleted. */
export interface Rdkit {
  readonly module: MainModule;
  /** bytes of its memory, which never shrinks */
  memoryBytes(): number;
}

/** Whether RDKit itself refused, by an exception of C++. Anything else that it throws is a crash. */
export function isRefusal(error: unknown): boolean {
  return error instanceof wasm.Exception;
}

/** Loads RDKit, 7 MB of WebAssembly: some 150 ms, during much of which the thread is busy. */
export async function loadRdkit(): Promise<Rdkit> {
  const start = require('@rdkit/rdkit') as Start;
  const compiled = await wasm.compile(await readFile(require.resolve('@rdkit/rdkit/RDKit_minimal.wasm')));
  let memory: { readonly buffer: ArrayBuffer } | undefined;
  const silent = (): void => {};
  const module = await new Promise<MainModule>((resolve, reject) => {
    start({
      print: silent,
      printErr: silent,
      instantiateWasm(imports, received) {
        wasm.instantiate(compiled, imports).then((instance) => {
          memory = Object.values(instance.exports).find((value) => value instanceof wasm.Memory);
          received(instance, compiled);
        }, reject);
        return {};
      },
    }).then(resolve, reject);
  });
  module.disable_logging();
  return { module, memoryBytes: () => memory?.buffer.byteLength ?? 0 };
}

/**
 * Hands a molecule to `use` and frees it afterwards.
 *
 * @param source SMILES, or a molecule in RDKit's JSON
 * @returns null when RDKit does not read it
 */
export function withMolecule<T>({ module }: Rdkit, source: string, use: (molecule: Mol) => T): T | null {
  const molecule = module.get_mol(source);
  if (molecule === null) return null;
  try {
    return use(molecule);
  } finally {
    molecule.delete();
  }
}
