export { type AdamWCoefficients, type AdamWOptions, type AdamWTensors, adamWStep } from './adamw.js';
export {
  type Device,
  DeviceError,
  type DeviceOptions,
  type DeviceSpec,
  parseDevice,
  resolveDevice,
} from './engine/device.js';
export {
  type Allocation,
  type Application,
  Engine,
  EngineError,
  type EngineMemory,
  type EngineOptions,
  type ExecutionProvider,
  type Feed,
  type Fetch,
  float32,
  int32,
  type Session,
  type Value,
  zeros,
} from './engine/engine.js';
export { backward, type GradientSeed, gradients, NoGradientError } from './gradient.js';
export { compileKernel, type Kernel } from './kernel/kernel.js';
export { liveBytes } from './live-bytes.js';
export { type CompiledGraph, compileGraph, type ExportedGraph, exportGraph } from './lower.js';
export type { Profile } from './op.js';
export * from './ops/control.js';
export * from './ops/elementwise.js';
export * from './ops/gather.js';
export * from './ops/layout.js';
export * from './ops/matmul.js';
export * from './ops/normalize.js';
export * from './ops/reduce.js';
export * from './ops/rotary.js';
export { opTable } from './ops/table.js';
export { AdamW, type AdamWParameter, type AdamWResult } from './optimizer.js';
export { type Dim, type Shape, ShapeError } from './shape.js';
export { constant, type DType, type FrozenDType, frozen, input, scalar, Tensor, type TensorData } from './tensor.js';
