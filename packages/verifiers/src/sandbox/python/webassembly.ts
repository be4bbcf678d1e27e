/** The part of the WebAssembly API used here; the types of Node do not have it. */
interface WebAssemblyApi {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: object };
  readonly Memory: {
    readonly prototype: { grow(this: { readonly buffer: ArrayBuffer }, pages: number): number };
  };
}

export const { WebAssembly: wasm } = globalThis as unknown as { readonly WebAssembly: WebAssemblyApi };
