import type { Objective } from './group.js';
import { grpo } from './grpo.js';
import { ipsGrpo } from './ips-grpo.js';

export type { AdvantageOptions, GroupAdvantages, Objective } from './group.js';

/** One entry per algorithm, keyed by the name that the API gives it. */
export const objectives = {
  grpo,
  'ips-grpo': ipsGrpo,
} as const satisfies Record<string, Objective>;

export type Algorithm = keyof typeof objectives;
