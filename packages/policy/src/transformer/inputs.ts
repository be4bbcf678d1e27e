import { type Dim, input, type Tensor } from '@polymode/autodiff';
import type { ModelConfig } from '../config.js';
import { parameterShapes } from '../families/index.js';
import type { GroupShape } from './attention.js';
import type { ParameterTensors } from './parameters.js';

/** Graph inputs for every parameter, named `prefix` + parameter name. */
export function parameterInputs(config: ModelConfig, prefix = ''): ParameterTensors {
  return Object.fromEntries(
    Object.entries(parameterShapes(config)).map(([name, shape]) => [name, input(prefix + name, 'float32', shape)]),
  );
}

/** A `PackedBatch` of rows of one fixed length as graph inputs, and the temperature, a float32 scalar. */
export function sequenceInputs(
  length: number,
): Record<'tokens' | 'positions' | 'at' | 'targets' | 'temperature', Tensor> {
  return {
    tokens: input('tokens', 'int32', ['B', length]),
    positions: input('positions', 'int32', ['B', length]),
    ...chosenTokens(),
  };
}

/** How many groups there are and how many completion tokens; named where graphs serve any number. */
export interface GroupCounts {
  /** N */
  readonly groups: Dim;
  /** M */
  readonly tokens: Dim;
}

/** `PackedGroups` of one fixed shape as graph inputs, and the temperature, a float32 scalar. */
export function groupInputs(
  { promptLength, completionLength, groupSize }: GroupShape,
  counts: GroupCounts = { groups: 'N', tokens: 'M' },
): Record<'tokens' | 'positions' | 'lengths' | 'at' | 'targets' | 'temperature', Tensor> {
  const time = promptLength + groupSize * completionLength;
  return {
    tokens: input('tokens', 'int32', [counts.groups, time]),
    positions: input('positions', 'int32', [counts.groups, time]),
    lengths: input('lengths', 'int32', [counts.groups]),
    ...chosenTokens(counts.tokens),
  };
}

function chosenTokens(count: Dim = 'M'): Record<'at' | 'targets' | 'temperature', Tensor> {
  return {
    at: input('at', 'int32', [count]),
    targets: input('targets', 'int32', [count]),
    temperature: input('temperature', 'float32', []),
  };
}
