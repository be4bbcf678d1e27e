import { type FileHandle, open } from 'node:fs/promises';
import { dequantizers } from './dequantize.js';
import { GgufError } from './error.js';
import { type GgufHeader, type GgufTensor, HeaderContinues, parseGgufHeader } from './header.js';

/** Most bytes before the first tensor; 250,000 tokens with merges take 16 MiB. */
const MAX_HEADER = 256 * 2 ** 20;
const FIRST_READ = 2 ** 20;
/** Bytes read at once of a quantised tensor: the only copy beside the result. */
const SLICE = 4 * 2 ** 20;

/** An open GGUF file. Tensors are read one at a time, so that a file may be larger than memory. */
export class GgufFile {
  private constructor(
    private readonly handle: FileHandle,
    readonly size: number,
    readonly header: GgufHeader,
  ) {}

  /** @throws GgufError naming what is damaged or not supported */
  static async open(path: string): Promise<GgufFile> {
    const handle = await open(path, 'r');
    try {
      const { size } = await handle.stat();
      return new GgufFile(handle, size, await readHeader(handle, size));
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  close(): Promise<void> {
    return this.handle.close();
  }

  tensor(name: string): GgufTensor {
    const tensor = this.header.tensors.get(name);
    if (tensor === undefined) throw new GgufError(`the file has no tensor ${name}`);
    return tensor;
  }

  /** The values of a tensor, as float32, rows first. */
  async read(name: string): Promise<Float32Array> {
    const { type, offset, byteLength } = this.tensor(name);
    const out = new Float32Array((byteLength / type.bytes) * type.block);
    if (type.name === 'F32') {
      await this.fill(new Uint8Array(out.buffer), offset, name);
      return out;
    }
    const blocksAtOnce = Math.floor(SLICE / type.bytes);
    const slice = new Uint8Array(Math.min(byteLength, blocksAtOnce * type.bytes));
    const dequantize = dequantizers[type.name]!;
    for (let done = 0; done < byteLength; done += slice.length) {
      const part = slice.subarray(0, Math.min(slice.length, byteLength - done));
      await this.fill(part, offset + done, name);
      dequantize(part, part.length / type.bytes, out, (done / type.bytes) * type.block);
    }
    return out;
  }

  /** Whether two tensors have equal bytes. */
  async equal(one: string, other: string): Promise<boolean> {
    const [a, b] = [this.tensor(one), this.tensor(other)];
    if (a.type !== b.type || a.shape.join() !== b.shape.join()) return false;
    const [x, y] = [Buffer.alloc(Math.min(SLICE, a.byteLength)), Buffer.alloc(Math.min(SLICE, a.byteLength))];
    for (let done = 0; done < a.byteLength; done += x.length) {
      const length = Math.min(x.length, a.byteLength - done);
      await this.fill(x.subarray(0, length), a.offset + done, one);
      await this.fill(y.subarray(0, length), b.offset + done, other);
      if (!x.subarray(0, length).equals(y.subarray(0, length))) return false;
    }
    return true;
  }

  private async fill(target: Uint8Array, position: number, tensor: string): Promise<void> {
    await readFully(this.handle, target, position, `tensor ${tensor}`);
  }
}

async function readHeader(handle: FileHandle, size: number): Promise<GgufHeader> {
  for (let length = FIRST_READ; ; length *= 2) {
    const bytes = new Uint8Array(Math.min(length, size, MAX_HEADER));
    await readFully(handle, bytes, 0, 'header');
    try {
      return parseGgufHeader(bytes, size);
    } catch (error) {
      if (!(error instanceof HeaderContinues)) throw error;
      if (bytes.length === MAX_HEADER) throw new GgufError(`the header is larger than ${MAX_HEADER} bytes`);
    }
  }
}

/** The kernel reads at most 2 GiB at once, and may read less than asked. */
async function readFully(handle: FileHandle, target: Uint8Array, position: number, what: string): Promise<void> {
  for (let done = 0; done < target.length; ) {
    const length = Math.min(target.length - done, 2 ** 30);
    const { bytesRead } = await handle.read(target, done, length, position + done);
    if (bytesRead === 0) throw new GgufError(`the file ended while its ${what} was read: it has changed`);
    done += bytesRead;
  }
}
