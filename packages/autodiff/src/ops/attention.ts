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

export interface GroupedAttention {
  /** [B, T, heads·D] */
  readonly attention: Tensor;
  /** [B, keyValueHeads, S, D], with this call's keys and values written at their positions */
  readonly presentKeys: Tensor;
  readonly presentValues: Tensor;
}

/**
 * Causal grouped-query attention (arXiv:2305.13245) against a cache, for sampling; it has no gradient rule.
 *
 * @param queries [B, T, heads·D], rotated already
 * @param keys [B, T, keyValueHeads·D], rotated already
 * @param values [B, T, keyValueHeads·D]
 * @param pastKeys [B, keyValueHeads, S, D]; S must hold the longest sequence, or be 0 before the first call
 * @param pastValues as pastKeys
 * @param lastPositions int32 [B]: index of each row's last valid position after this call
 * @param totalLength int32 scalar [1]: the largest lastPositions, plus one
 */
export function groupedQueryAttention(
  queries: Tensor,
  keys: Tensor,
  values: Tensor,
  pastKeys: Tensor,
  pastValues: Tensor,
  lastPositions: Tensor,
  totalLength: Tensor,
  options: { readonly heads: number; readonly keyValueHeads: number; readonly cacheLength: number | string },
): GroupedAttention {
  const { heads, keyValueHeads, cacheLength } = options;
  const [b, , , d] = pastKeys.shape;
  const cache = { dtype: pastKeys.dtype, shape: [b!, keyValueHeads, cacheLength, d!] };
  const [attention, presentKeys, presentValues] = makeNode(
    'GroupQueryAttention',
    [queries, keys, values, pastKeys, pastValues, lastPositions, totalLength],
    { heads, keyValueHeads },
    [{ dtype: queries.dtype, shape: queries.shape }, cache, cache],
  ) as [Tensor, Tensor, Tensor];
  return { attention, presentKeys, presentValues };
}

export const attentionOps: OpTable = {
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
  GroupQueryAttention: {
    lower: (node, to) => {
      to.emit('GroupQueryAttention', node.inputs.map(to.use), {
        domain: 'com.microsoft',
        attributes: {
          num_heads: { int: node.attributes.heads as number },
          kv_num_heads: { int: node.attributes.keyValueHeads as number },
        },
        outputs: to.outputs(node),
      });
    },
  },
};
