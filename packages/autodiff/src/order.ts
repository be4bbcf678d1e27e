import { type Node, type Tensor, topologicalNodes } from './tensor.js';

/**
 * The order in which a graph's nodes are written down, inputs before users. It decides when they run: onnxruntime walks
 * back from the results, from what was written last to what was written first, and computes everything below one of them
 * before it looks at the next. So shallow results are written last: a layer's gradients are computed as soon as the
 * backward pass gets there, and what they read goes. And of an operation's inputs the deepest is written last: the
 * gradient that comes down the model is there before what can be computed at any time.
 */
export function writingOrder(roots: readonly Tensor[]): Node[] {
  const depth = new Map<Node, number>();
  const depthOf = (t: Tensor): number => depth.get(t.node)!;
  for (const node of topologicalNodes(roots, 'no bodies')) {
    depth.set(
      node,
      node.inputs.reduce((d, t) => Math.max(d, depthOf(t) + 1), 0),
    );
  }
  const shallowLast = [...roots].sort((a, b) => depthOf(b) - depthOf(a));
  return topologicalNodes(shallowLast, 'no bodies', (inputs) => [...inputs].sort((a, b) => depthOf(a) - depthOf(b)));
}

/** The order in which onnxruntime computes what `writingOrder` gives: back from the results, what was written last first. */
export function runningOrder(roots: readonly Tensor[]): Node[] {
  const place = new Map(writingOrder(roots).map((node, i) => [node, i]));
  const used = new Set([...place.keys()].flatMap((node) => node.inputs.map((t) => t.node)));
  const ends = [...new Set(roots.map((t) => t.node))].filter((node) => !used.has(node));
  const last = (a: Node, b: Node): number => place.get(b)! - place.get(a)!;
  return topologicalNodes(
    ends.sort(last).map((node) => node.outputs[0]!),
    'no bodies',
    (inputs) => [...inputs].sort((a, b) => last(a.node, b.node)),
  );
}
