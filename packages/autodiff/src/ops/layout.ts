import { constantGradient, ifAnew, type OpTable } from '../op.js';
import { type Dim, elementCount, formatShape, normalizeAxis, ShapeError, sameShape } from '../shape.js';
import { makeNode, scalar, type Tensor } from '../tensor.js';
import { cast } from './elementwise.js';
import { sumTo } from './reduce.js';

/**
 * The same elements in another shape. At most one dimension of the new shape may be unknown when the graph is
 * built; it is inferred at run time, and carries the name given here. Beside it there may be named dimensions that stay
 * where they were in x.
 */
export function reshape(x: Tensor, shape: readonly Dim[]): Tensor {
  if (sameShape(x.shape, shape)) return x;
  const several = shape.filter((d) => typeof d === 'string').length > 1;
  // To ONNX 0 is "as it was", and −1 "the rest".
  const dims = shape.map((d, i) => (typeof d === 'number' ? d : several && d === x.shape[i] ? 0 : -1));
  if (dims.filter((d) => d === -1).length > 1) {
    throw new ShapeError(
      `Reshape: ${formatShape(shape)} has more than one named dimension that ${formatShape(x.shape)} has not in its ` +
        'place; use reshapeLike or reshapeTo',
    );
  }
  const [from, to] = [elementCount(x.shape), elementCount(shape)];
  if (from !== null && to !== null && from !== to) {
    throw new ShapeError(`Reshape: ${x} has ${from} elements and ${formatShape(shape)} has ${to}`);
  }
  return makeNode('Reshape', [x], { dims }, [{ dtype: x.dtype, shape }])[0]!;
}

/** The same elements in a shape that is fed or computed at run time. @param shape int64 vector @param dims its names */
export function reshapeTo(x: Tensor, shape: Tensor, dims: readonly Dim[]): Tensor {
  if (shape.dtype !== 'int64' || shape.rank !== 1 || shape.shape[0] !== dims.length) {
    throw new ShapeError(`Reshape: ${shape} must be an int64 vector of ${dims.length} sizes, for ${formatShape(dims)}`);
  }
  return makeNode('ReshapeTo', [x, shape], {}, [{ dtype: x.dtype, shape: dims }])[0]!;
}

/** The same elements in the shape of another tensor, read at run time where it has named dimensions. */
export function reshapeLike(x: Tensor, like: Tensor): Tensor {
  if (sameShape(x.shape, like.shape)) return x;
  if (like.shape.filter((d) => typeof d === 'string').length <= 1) return reshape(x, like.shape);
  return makeNode('ReshapeTo', [x, shapeOf(like)], {}, [{ dtype: x.dtype, shape: like.shape }])[0]!;
}

/** The shape as an int64 vector. */
export function shapeOf(x: Tensor): Tensor {
  return makeNode('Shape', [x], {}, [{ dtype: 'int64', shape: [x.rank] }])[0]!;
}

/** The size of one axis, as a rank-0 float32. */
export function sizeOf(x: Tensor, axis: number): Tensor {
  const a = normalizeAxis('Shape', axis, x.rank);
  return cast(reshape(slice(shapeOf(x), 0, a, a + 1), []), 'float32');
}

/** Axes in another order: axis i of the result is axis `permutation[i]` of x. */
export function transpose(x: Tensor, permutation: readonly number[]): Tensor {
  if ([...permutation].sort((a, b) => a - b).some((p, i) => p !== i) || permutation.length !== x.rank) {
    throw new ShapeError(`Transpose: [${permutation}] is not a permutation of the axes of ${x}`);
  }
  return makeNode('Transpose', [x], { permutation }, [
    { dtype: x.dtype, shape: permutation.map((p) => x.shape[p]!) },
  ])[0]!;
}

/** New axes of size 1, at these positions of the result. */
export function unsqueeze(x: Tensor, axes: readonly number[]): Tensor {
  if (axes.length === 0) return x;
  const rank = x.rank + axes.length;
  const at = axes.map((a) => normalizeAxis('Unsqueeze', a, rank)).sort((a, b) => a - b);
  const rest = [...x.shape];
  const shape = Array.from({ length: rank }, (_, i) => (at.includes(i) ? 1 : rest.shift()!));
  return makeNode('Unsqueeze', [x], { axes: at }, [{ dtype: x.dtype, shape }])[0]!;
}

/** Removes axes of size 1. */
export function squeeze(x: Tensor, axes: readonly number[]): Tensor {
  const at = axes.map((a) => normalizeAxis('Squeeze', a, x.rank)).sort((a, b) => a - b);
  for (const a of at) {
    if (x.shape[a] !== 1) throw new ShapeError(`Squeeze: axis ${a} of ${x} is not 1`);
  }
  const shape = x.shape.filter((_, i) => !at.includes(i));
  return makeNode('Squeeze', [x], { axes: at }, [{ dtype: x.dtype, shape }])[0]!;
}

/** x repeated along its size-1 axes to the shape of another tensor, which may have more axes. */
export function expandLike(x: Tensor, like: Tensor): Tensor {
  if (sameShape(x.shape, like.shape)) return x;
  return makeNode('Expand', [x, shapeOf(like)], {}, [{ dtype: x.dtype, shape: like.shape }])[0]!;
}

/** Tensors one after the other along an axis. A named dimension appears in the result's size as `a+b`. */
export function concat(parts: readonly Tensor[], axis: number): Tensor {
  const first = parts[0];
  if (first === undefined) throw new ShapeError('Concat: needs at least one tensor');
  const a = normalizeAxis('Concat', axis, first.rank);
  let size: Dim = 0;
  for (const part of parts) {
    const fits = part.rank === first.rank && part.shape.every((d, i) => i === a || d === first.shape[i]);
    if (!fits) throw new ShapeError(`Concat: ${part} does not fit ${first} on axis ${a}`);
    const d: Dim = part.shape[a]!;
    size = typeof size === 'number' && typeof d === 'number' ? size + d : size === 0 ? d : `${size}+${d}`;
  }
  const shape = first.shape.map((d, i) => (i === a ? size : d));
  return makeNode('Concat', parts, { axis: a }, [{ dtype: first.dtype, shape }])[0]!;
}

/** Elements start ≤ i < end along one axis; negative values count from the back, `end` may be Infinity. */
export function slice(x: Tensor, axis: number, start: number, end: number): Tensor {
  const a = normalizeAxis('Slice', axis, x.rank);
  const d = x.shape[a]!;
  let size: Dim;
  if (typeof d === 'number') {
    const clamp = (i: number): number => Math.min(Math.max(i < 0 ? i + d : i, 0), d);
    size = Math.max(clamp(end) - clamp(start), 0);
  } else {
    size = start >= 0 && end >= 0 && Number.isFinite(end) ? end - start : `${d}[${start}:${end}]`;
  }
  const shape = x.shape.map((dim, i) => (i === a ? size : dim));
  return makeNode('Slice', [x], { axis: a, start, end }, [{ dtype: x.dtype, shape }])[0]!;
}

/** Consecutive pieces of the given sizes along one axis, which they fill. */
export function split(x: Tensor, axis: number, sizes: readonly number[]): Tensor[] {
  const a = normalizeAxis('Split', axis, x.rank);
  if (sizes.reduce((n, size) => n + size, 0) !== x.staticDim(a)) {
    throw new ShapeError(`Split: pieces of ${sizes.join(' + ')} do not fill axis ${axis} of ${x}`);
  }
  const pieces = sizes.map((size) => ({ dtype: x.dtype, shape: x.shape.map((d, i) => (i === a ? size : d)) }));
  return makeNode('Split', [x], { axis: a, sizes }, pieces);
}

/** INT64_MAX stands for "to the end" in ONNX's Slice; the largest exact double is as good for any real tensor. */
const TO_THE_END = Number.MAX_SAFE_INTEGER;

export const layoutOps: OpTable = {
  Reshape: {
    lower: (node, to) => {
      to.emit('Reshape', [to.use(node.inputs[0]!), to.ints(node.attributes.dims as number[])], {
        outputs: to.outputs(node),
      });
    },
    gradient: (node, [g]) => [reshapeLike(g!, node.inputs[0]!)],
    recompute: ifAnew(([x], node) => [reshape(x!, node.outputs[0]!.shape)]),
  },
  ReshapeTo: {
    lower: (node, to) => {
      to.emit('Reshape', node.inputs.map(to.use), { outputs: to.outputs(node) });
    },
    gradient: (node, [g]) => [reshapeLike(g!, node.inputs[0]!), null],
  },
  Shape: {
    lower: (node, to) => {
      to.emit('Shape', [to.use(node.inputs[0]!)], { outputs: to.outputs(node) });
    },
    gradient: constantGradient,
  },
  Transpose: {
    lower: (node, to) => {
      to.emit('Transpose', [to.use(node.inputs[0]!)], {
        attributes: { perm: { ints: node.attributes.permutation as number[] } },
        outputs: to.outputs(node),
      });
    },
    gradient: (node, [g]) => {
      const permutation = node.attributes.permutation as number[];
      const inverse = permutation.map((_, i) => permutation.indexOf(i));
      return [transpose(g!, inverse)];
    },
  },
  Unsqueeze: {
    lower: (node, to) => {
      to.emit('Unsqueeze', [to.use(node.inputs[0]!), to.ints(node.attributes.axes as number[])], {
        outputs: to.outputs(node),
      });
    },
    gradient: (node, [g]) => [squeeze(g!, node.attributes.axes as number[])],
  },
  Squeeze: {
    lower: (node, to) => {
      to.emit('Squeeze', [to.use(node.inputs[0]!), to.ints(node.attributes.axes as number[])], {
        outputs: to.outputs(node),
      });
    },
    gradient: (node, [g]) => [unsqueeze(g!, node.attributes.axes as number[])],
  },
  Expand: {
    lower: (node, to) => {
      to.emit('Expand', node.inputs.map(to.use), { outputs: to.outputs(node) });
    },
    gradient: (node, [g]) => [sumTo(g!, node.inputs[0]!.shape), null],
  },
  Concat: {
    lower: (node, to) => {
      to.emit('Concat', node.inputs.map(to.use), {
        attributes: { axis: { int: node.attributes.axis as number } },
        outputs: to.outputs(node),
      });
    },
    gradient: (node, [g]) => {
      const axis = node.attributes.axis as number;
      let start = 0;
      return node.inputs.map((part) => {
        const size = part.staticDim(axis);
        const piece = slice(g!, axis, start, start + size);
        start += size;
        return piece;
      });
    },
  },
  Split: {
    lower: (node, to) => {
      to.emit('Split', [to.use(node.inputs[0]!), to.ints(node.attributes.sizes as number[])], {
        attributes: { axis: { int: node.attributes.axis as number } },
        outputs: to.outputs(node),
      });
    },
    gradient: (node, pieces) => {
      const whole = pieces.map((g, i) => g ?? expandLike(scalar(0), node.outputs[i]!));
      return [concat(whole, node.attributes.axis as number)];
    },
    // The pieces hold everything a second time.
    recompute: (node, [x]) => {
      const { axis, sizes } = node.attributes as { axis: number; sizes: number[] };
      let end = 0;
      return sizes.map((size) => {
        end += size;
        return slice(x!, axis, end - size, end);
      });
    },
  },
  Slice: {
    lower: (node, to) => {
      const { axis, start, end } = node.attributes as { axis: number; start: number; end: number };
      const stop = Number.isFinite(end) ? end : TO_THE_END;
      to.emit('Slice', [to.use(node.inputs[0]!), to.ints([start]), to.ints([stop]), to.ints([axis])], {
        outputs: to.outputs(node),
      });
    },
    gradient: (node, [g]) => {
      const x = node.inputs[0]!;
      const { axis, start, end } = node.attributes as { axis: number; start: number; end: number };
      const size = x.staticDim(axis);
      const from = Math.max(start < 0 ? start + size : start, 0);
      const until = Math.min(end < 0 ? end + size : end, size);
      return [pad(g!, axis, from, size - until)];
    },
  },
  Pad: {
    lower: (node, to) => {
      const { axis, before, after } = node.attributes as { axis: number; before: number; after: number };
      const x = node.inputs[0]!;
      const pads = Array.from({ length: 2 * x.rank }, () => 0);
      pads[axis] = before;
      pads[x.rank + axis] = after;
      to.emit('Pad', [to.use(x), to.ints(pads), to.scalar(0, x.dtype)], { outputs: to.outputs(node) });
    },
    gradient: (node, [g]) => {
      const { axis, before, after } = node.attributes as { axis: number; before: number; after: number };
      return [slice(g!, axis, before, after === 0 ? Number.POSITIVE_INFINITY : -after)];
    },
  },
};

/** Zeros before and after along one axis. */
export function pad(x: Tensor, axis: number, before: number, after: number): Tensor {
  if (before === 0 && after === 0) return x;
  const a = normalizeAxis('Pad', axis, x.rank);
  const shape = x.shape.map((d, i) =>
    i !== a ? d : typeof d === 'number' ? d + before + after : `${d}+${before + after}`,
  );
  return makeNode('Pad', [x], { axis: a, before, after }, [{ dtype: x.dtype, shape }])[0]!;
}
