import type { OpTable } from '../op.js';
import { ShapeError } from '../shape.js';
import { makeNode, type Tensor } from '../tensor.js';

/**
 * Rotary position embedding (arXiv:2104.09864), in the half-split layout of Llama: the pair (i, i + D/2) of each head
 * turns by the angle of its position.
 *
 * @param x [B, H, T, D]
 * @param positions int32 [B, T], rows of the caches
 * @param cosines [positions, D/2]
 * @param sines [positions, D/2]
 */
export function rotary(x: Tensor, positions: Tensor, cosines: Tensor, sines: Tensor): Tensor {
  if (x.rank !== 4) throw new ShapeError(`Rotary: ${x} must be [batch, heads, time, head size]`);
  if (cosines.shape[1] !== x.staticDim(3) / 2) {
    throw new ShapeError(`Rotary: caches ${cosines} must be half as wide as the heads of ${x}`);
  }
  return makeRotary(x, positions, cosines, sines, false);
}

function makeRotary(x: Tensor, positions: Tensor, cosines: Tensor, sines: Tensor, inverse: boolean): Tensor {
  return makeNode('Rotary', [x, positions, cosines, sines], { inverse }, [{ dtype: x.dtype, shape: x.shape }])[0]!;
}

export const rotaryOps: OpTable = {
  Rotary: {
    lower: (node, to) => {
      const [x, positions, cosines, sines] = node.inputs as [Tensor, Tensor, Tensor, Tensor];
      const outputs = to.outputs(node);
      const [names, cos] = [to.use(x), to.use(cosines)];
      const sin = node.attributes.inverse ? to.emit('Neg', [to.use(sines)]) : to.use(sines);
      if (to.profile === 'fused') {
        const at = to.emit('Cast', [to.use(positions)], { attributes: { to: { int: 7 } } });
        to.emit('RotaryEmbedding', [names, at, cos, sin], { domain: 'com.microsoft', outputs });
        return;
      }
      // y = [x₁·cos − x₂·sin, x₂·cos + x₁·sin], the tables' rows taken by position and spread over the heads
      const half = x.staticDim(3) / 2;
      const rows = (table: string): string =>
        to.emit('Unsqueeze', [to.emit('Gather', [table, to.use(positions)]), to.ints([1])]);
      const [c, s] = [rows(cos), rows(sin)];
      const part = (from: number, until: number): string =>
        to.emit('Slice', [names, to.ints([from]), to.ints([until]), to.ints([3])]);
      const [x1, x2] = [part(0, half), part(half, 2 * half)];
      const y1 = to.emit('Sub', [to.emit('Mul', [x1, c]), to.emit('Mul', [x2, s])]);
      const y2 = to.emit('Add', [to.emit('Mul', [x2, c]), to.emit('Mul', [x1, s])]);
      to.emit('Concat', [y1, y2], { attributes: { axis: { int: 3 } }, outputs });
    },
    // A rotation's transpose is the rotation by the opposite angle.
    gradient: (node, [g]) => {
      const [, positions, cosines, sines] = node.inputs as [Tensor, Tensor, Tensor, Tensor];
      return [makeRotary(g!, positions, cosines, sines, !node.attributes.inverse), null, null, null];
    },
  },
};
