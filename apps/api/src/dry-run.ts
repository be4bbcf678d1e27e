import type {
  CreateJobRequest,
  DryRun,
  FileStatistics,
  InspectedRows,
  ResolvedMethod,
  SurvivalReport,
} from '@polymode/contracts';
import type { FileRecord } from '@polymode/db';
import type { ApiDependencies } from './dependencies.js';
import { inspectPlan, warningsOf } from './inspection.js';
import { planJob } from './job-plan.js';
import type { CheckedFile } from './training-file.js';

/** Milliseconds that a worker may take to count tokens; clients wait for ten minutes. */
const INSPECT_MS = 60_000;

/**
 * Says what would come of a request, and stores nothing.
 *
 * @throws ApiError as the creation of the job would
 */
export async function dryRun(
  deps: ApiDependencies,
  projectId: string,
  request: CreateJobRequest,
  signal?: AbortSignal,
): Promise<DryRun> {
  const plan = await planJob(deps, projectId, request);
  const { start, method, files, training, validation, sharedRows } = plan;
  const inspection = await inspectPlan(deps.db, plan, { timeoutMs: INSPECT_MS, ...(signal && { signal }) });
  const { found } = inspection;
  const warnings = [
    ...repeated('training', training),
    ...(validation ? repeated('validation', validation) : []),
    ...(sharedRows > 0
      ? [`${sharedRows} validation rows are in the training file too; validation will look better than it is`]
      : []),
    ...(found === null ? [`tokens and memory are not known, for ${inspection.reason}`] : warningsOf(found)),
  ];
  return {
    object: 'fine_tuning.job.dry_run',
    model: start.model,
    base_model: start.baseModel,
    method,
    training_file: statistics(files.training, training, found?.training),
    validation_file: files.validation && validation && statistics(files.validation, validation, found?.validation),
    shared_rows: sharedRows,
    memory: found?.memory ?? null,
    survival: survivalOf(method),
    warnings,
  };
}

function statistics(
  { id }: FileRecord,
  { rows, digests }: CheckedFile,
  inspected: InspectedRows | null | undefined,
): FileStatistics {
  return {
    id,
    rows,
    duplicate_rows: rows - digests.size,
    tokens: inspected?.tokens ?? null,
    rows_beyond_context: inspected?.beyondContext ?? null,
  };
}

function repeated(kind: string, { rows, digests }: CheckedFile): string[] {
  const duplicates = rows - digests.size;
  return duplicates === 0 ? [] : [`${duplicates} rows of the ${kind} file repeat earlier ones`];
}

/**
 * Beside an answer of reward r₁ one of reward r₂ < r₁ survives training iff r₂ / r₁ > min(G − 1, 1/ε)^(−α), where groups are
 * compared with their mean (arXiv:2601.21669, finite groups); GRPO is α = 0.
 */
export function survivalOf(method: ResolvedMethod): SurvivalReport | null {
  if (method.type !== 'reinforcement') return null;
  const { algorithm, group_size: groupSize, ips } = method.reinforcement.hyperparameters;
  const alpha = algorithm === 'ips-grpo' ? ips.exponent : 0;
  const ratio = Math.min(1, Math.min(groupSize - 1, 1 / ips.epsilon) ** -alpha);
  const message =
    alpha === 0
      ? `GRPO keeps one answer of a prompt in the end, even of answers that earn the same. Choose 'ips-grpo' to keep all.`
      : `Answers survive beside a better one if they earn more than ${(100 * ratio).toPrecision(3)} % of its reward. ` +
        `A group shows at most ${groupSize} different answers; raise group_size where prompts have many more.`;
  return {
    algorithm,
    group_size: groupSize,
    alpha,
    smallest_reward_ratio: ratio,
    answers_seen_per_group: groupSize,
    message,
  };
}
