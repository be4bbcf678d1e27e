import ort from 'onnxruntime-node';
import { Garbage } from './memory.js';
import type { Allocation } from './protocol.js';

/** Floats in one block of allocated variables (1 GiB), unless one variable alone is larger. */
const BLOCK = 2 ** 28;

/** The engine's named tensors: in this process's memory, or on a device. */
export class Variables {
  private readonly tensors = new Map<string, ort.Tensor>();
  /** those whose memory is their own, and is written into rather than replaced */
  private readonly allocated = new Set<string>();
  /** the session that made a tensor on a device, and whose memory it is in */
  private readonly makers = new WeakMap<ort.Tensor, number>();
  private readonly garbage = new Garbage();

  /** @throws Error for an unknown name */
  get(name: string): ort.Tensor {
    const tensor = this.tensors.get(name);
    if (tensor === undefined) throw new Error(`the engine has no variable "${name}"`);
    return tensor;
  }

  /** The memory of a variable that is not on a device. @throws Error when it is, or is no float32 */
  floats(name: string): Float32Array {
    const tensor = this.get(name);
    if (tensor.location !== 'cpu' || tensor.type !== 'float32') {
      throw new Error(
        `the variable "${name}" must be float32 in this process's memory, not ${tensor.type} on a device`,
      );
    }
    return tensor.data as Float32Array;
  }

  isAllocated(name: string): boolean {
    return this.allocated.has(name);
  }

  /**
   * Makes or replaces a variable; an allocated one takes the values over. Frees the old buffer where it lives on a device.
   *
   * @param maker the session whose result it is
   */
  keep(name: string, tensor: ort.Tensor, maker?: number): void {
    if (maker !== undefined) this.makers.set(tensor, maker);
    const before = this.tensors.get(name);
    if (before === tensor) return;
    if (before !== undefined && this.allocated.has(name)) {
      if (tensor.type !== 'float32' || tensor.dims.join() !== before.dims.join()) {
        throw new Error(
          `the variable "${name}" was allocated as float32 [${before.dims}]; it cannot hold ${tensor.type} [${tensor.dims}]`,
        );
      }
      if (before.location === 'cpu' && tensor.location === 'cpu') {
        (before.data as Float32Array).set(tensor.data as Float32Array);
        this.garbage.add(byteLength(tensor));
        return;
      }
    }
    this.tensors.set(name, tensor);
    if (before !== undefined) this.dispose(before);
  }

  allocate(tensors: readonly Allocation[]): void {
    const names = tensors.map((t) => t.name);
    const twice = names.find((name, i) => names.indexOf(name) !== i);
    if (twice !== undefined) throw new Error(`allocate: two variables are named "${twice}"`);
    this.drop(names);
    const sizes = tensors.map((t) => t.shape.reduce((a, b) => a * b, 1));
    let block = new Float32Array(0);
    let used = 0;
    for (const [i, { name, shape }] of tensors.entries()) {
      const size = sizes[i]!;
      if (used + size > block.length) {
        block = new Float32Array(blockLength(sizes.slice(i)));
        used = 0;
      }
      const view = block.subarray(used, used + size);
      this.tensors.set(name, new ort.Tensor('float32', view, shape as number[]));
      this.allocated.add(name);
      used += size;
    }
  }

  /** Variables on a device that a session made. */
  madeBy(session: number): [string, ort.Tensor][] {
    return [...this.tensors].filter(([, t]) => t.location !== 'cpu' && this.makers.get(t) === session);
  }

  drop(names: readonly string[]): void {
    for (const name of names) {
      const tensor = this.tensors.get(name);
      this.tensors.delete(name);
      this.allocated.delete(name);
      if (tensor !== undefined) this.dispose(tensor);
    }
  }

  clear(): void {
    this.drop([...this.tensors.keys()]);
  }

  sizes(): { here: number; onDevice: number; count: number } {
    let [here, onDevice] = [0, 0];
    for (const tensor of this.tensors.values()) {
      if (tensor.location === 'cpu') here += byteLength(tensor);
      else onDevice += byteLength(tensor);
    }
    return { here, onDevice, count: this.tensors.size };
  }

  private dispose(tensor: ort.Tensor): void {
    const bytes = tensor.location === 'cpu' ? byteLength(tensor) : 0;
    tensor.dispose();
    this.garbage.add(bytes);
  }
}

/** As many of the variables as fit a block, and one at least. */
function blockLength(sizes: readonly number[]): number {
  let length = 0;
  for (const size of sizes) {
    if (length > 0 && length + size > BLOCK) break;
    length += size;
  }
  return length;
}

const BYTES: Readonly<Record<string, number>> = { float32: 4, int32: 4, int64: 8, bool: 1 };

function byteLength(tensor: ort.Tensor): number {
  return tensor.size * BYTES[tensor.type]!;
}
