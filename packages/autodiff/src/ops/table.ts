import type { Op, OpTable } from '../op.js';
import { controlOps } from './control.js';
import { elementwiseOps } from './elementwise.js';
import { gatherOps } from './gather.js';
import { layoutOps } from './layout.js';
import { matmulOps } from './matmul.js';
import { normalizeOps } from './normalize.js';
import { reduceOps } from './reduce.js';
import { rotaryOps } from './rotary.js';

/** Every operation: how it is written as ONNX, and how a gradient passes it. `Input`, `Constant`, `Frozen` and `Parameter` are leaves. */
export const opTable: OpTable = {
  ...elementwiseOps,
  ...reduceOps,
  ...layoutOps,
  ...matmulOps,
  ...gatherOps,
  ...normalizeOps,
  ...rotaryOps,
  ...controlOps,
};

export const leafOps: ReadonlySet<string> = new Set(['Input', 'Constant', 'Frozen', 'Parameter']);

/** @throws Error naming the operation when the table has no entry */
export function opNamed(name: string): Op {
  const op = opTable[name];
  if (op === undefined) throw new Error(`no operation named ${name} in the op table`);
  return op;
}
