import {
  type GraderErrors,
  RunGraderRequest,
  type RunGraderResponse,
  ValidateGraderRequest,
  type ValidateGraderResponse,
} from '@polymode/contracts';
import {
  compileOutcome,
  type Grade,
  type Grader,
  type GraderErrorKind,
  GraderRuntimeError,
  sampleOf,
} from '@polymode/verifiers';
import type { FastifyInstance } from 'fastify';
import { graderOf } from '../grader-definition.js';
import { parseRequest } from '../validation.js';

/** Tries a grader on one answer, or only checks its definition. */
export async function graderRoutes(app: FastifyInstance): Promise<void> {
  app.post('/fine_tuning/alpha/graders/run', async (request): Promise<RunGraderResponse> => {
    const body = parseRequest(RunGraderRequest, request.body);
    const grader = graderOf(body.grader);
    const { messages: _messages, tools: _tools, ...item } = body.item ?? {};
    const start = performance.now();
    const result = await gradeOrFailure(grader, body.model_sample, item);
    const seconds = (performance.now() - start) / 1000;
    return toResponse(grader, result, seconds);
  });

  app.post('/fine_tuning/alpha/graders/validate', async (request): Promise<ValidateGraderResponse> => {
    const body = parseRequest(ValidateGraderRequest, request.body);
    return { grader: { ...graderOf(body.grader).config } };
  });
}

/** A grader that fails is an answer about the grader, not a failed request. */
async function gradeOrFailure(
  grader: Grader,
  outputText: string,
  item: Record<string, unknown>,
): Promise<Grade | GraderRuntimeError> {
  const problems = grader.checkItem(item);
  if (problems.length > 0) {
    const message = problems.map((one) =>
      one.message.includes(one.path) ? one.message : `${one.path}: ${one.message}`,
    );
    return new GraderRuntimeError(message.join(' '), 'invalid_variable_error');
  }
  try {
    const sample = sampleOf(outputText);
    const grade = await grader.grade(sample, item);
    return { ...grade, outcome: compileOutcome(undefined, grader).of(sample, item, grade) };
  } catch (error) {
    if (error instanceof GraderRuntimeError) return error;
    throw error;
  }
}

function toResponse(grader: Grader, result: Grade | GraderRuntimeError, seconds: number): RunGraderResponse {
  const failure = result instanceof GraderRuntimeError ? result : null;
  const grade = result instanceof GraderRuntimeError ? null : result;
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
  const problem = failure ?? grade?.unreadable;
  if (problem) setFlag(errors, problem.kind);
  return {
    reward: grade?.reward ?? 0,
    metadata: {
      name: grader.name,
      type: grader.type,
      execution_time: seconds,
      scores: grade ? { [grader.name]: grade.reward } : {},
      sampled_model_name: null,
      token_usage: null,
      errors,
      outcome: grade?.outcome ?? null,
      error_message: problem?.message ?? null,
    },
    sub_rewards: { ...grade?.subRewards },
    model_grader_token_usage_per_model: {},
  };
}

/** Kinds of failure that the API has no flag for are other errors. */
function setFlag(errors: GraderErrors, kind: GraderErrorKind): void {
  const flags: Record<string, unknown> = errors;
  flags[kind in errors ? kind : 'other_error'] = true;
}
