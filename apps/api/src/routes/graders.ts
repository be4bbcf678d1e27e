import {
  type GraderErrors,
  type GraderTokenUsage,
  operations,
  type RunGraderResponse,
  type ValidateGraderResponse,
} from '@polymode/contracts';
import {
  type Grader,
  type GradingFailure,
  type GradingResult,
  gradeAll,
  inProject,
  sampleOf,
} from '@polymode/verifiers';
import type { FastifyInstance } from 'fastify';
import type { ApiDependencies } from '../dependencies.js';
import { graderOf, outcomeOf } from '../grader-definition.js';
import { serve } from '../serve.js';

/** Tries a grader on one answer, or only checks its definition. */
export async function graderRoutes(app: FastifyInstance, { graderServices }: ApiDependencies): Promise<void> {
  serve(app, operations.runGrader, async ({ body, caller }, _request, reply): Promise<RunGraderResponse> => {
    const grader = await graderOf(body.grader, inProject(graderServices, caller.projectId));
    const outcome = outcomeOf(body.outcome, grader);
    const item = body.item ?? {};
    // Who does not wait for the answer any more needs no grade.
    const gone = new AbortController();
    reply.raw.once('close', () => gone.abort());
    const start = performance.now();
    const problems = [...grader.checkItem(item), ...outcome.checkItem(item)];
    const [result] =
      problems.length > 0
        ? [lacking(problems)]
        : await gradeAll([{ sample: sampleOf(body.model_sample), item }], { grader, outcome, signal: gone.signal });
    return toResponse(grader, result!, (performance.now() - start) / 1000);
  });

  serve(app, operations.validateGrader, async ({ body }): Promise<ValidateGraderResponse> => {
    const { config } = await graderOf(body.grader, graderServices);
    return { grader: { ...config } };
  });
}

/** The item has not what the grader reads. */
function lacking(problems: ReturnType<Grader['checkItem']>): GradingResult {
  const messages = problems.map(({ path, message }) => (message.includes(path) ? message : `${path}: ${message}`));
  return { ok: false, failure: { kind: 'invalid_variable_error', message: [...new Set(messages)].join(' ') } };
}

/** A grader that fails is an answer about the grader, not a failed request. */
function toResponse(grader: Grader, result: GradingResult, seconds: number): RunGraderResponse {
  const grade = result.ok ? result.grade : null;
  const failure: GradingFailure | undefined = result.ok ? result.grade.unreadable : result.failure;
  const usage = grade?.usage ?? {};
  return {
    reward: grade?.reward ?? 0,
    metadata: {
      name: grader.name,
      type: grader.type,
      execution_time: seconds,
      scores: grade ? { [grader.name]: grade.reward } : {},
      sampled_model_name: typeof grader.config.model === 'string' ? grader.config.model : null,
      token_usage: total(Object.values(usage)),
      errors: flags(failure),
      outcome: grade?.outcome ?? null,
      error_message: failure?.message ?? null,
    },
    sub_rewards: { ...grade?.subRewards },
    model_grader_token_usage_per_model: { ...usage },
  };
}

function flags(failure: GradingFailure | undefined): GraderErrors {
  const errors: GraderErrors = {
    formula_parse_error: false,
    sample_parse_error: false,
    truncated_observation_error: false,
    unresponsive_reward_error: false,
    invalid_variable_error: false,
    other_error: false,
    python_grader_server_error: false,
    python_grader_server_error_type: null,
    python_grader_runtime_error: false,
    python_grader_runtime_error_details: null,
    model_grader_server_error: false,
    model_grader_server_error_details: null,
    model_grader_refusal_error: false,
    model_grader_parse_error: false,
  };
  if (failure === undefined) return errors;
  const { kind, message, details = message, reason = message } = failure;
  switch (kind) {
    case 'python_grader_server_error':
      return { ...errors, [kind]: true, python_grader_server_error_type: reason };
    case 'python_grader_runtime_error':
      return { ...errors, [kind]: true, python_grader_runtime_error_details: details };
    case 'model_grader_server_error':
      return { ...errors, [kind]: true, model_grader_server_error_details: details };
    default:
      // Kinds of our own graders have no flag in the API.
      return { ...errors, [kind in errors ? kind : 'other_error']: true };
  }
}

function total(usages: readonly GraderTokenUsage[]): GraderTokenUsage | null {
  if (usages.length === 0) return null;
  const sum = (field: keyof GraderTokenUsage): number => usages.reduce((all, one) => all + one[field], 0);
  return {
    prompt_tokens: sum('prompt_tokens'),
    completion_tokens: sum('completion_tokens'),
    cached_tokens: sum('cached_tokens'),
    total_tokens: sum('total_tokens'),
  };
}
