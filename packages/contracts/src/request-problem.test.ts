import { describe, expect, it } from 'vitest';
import { CreateFileFields } from './files.js';
import { CreateJobRequest, checkpointModelName, ListJobsQuery } from './fine-tuning-jobs.js';
import { RunGraderRequest } from './graders.js';
import { CreateChatCompletionRequest } from './inference/chat-completions.js';
import { CreateCompletionRequest } from './inference/completions.js';
import { requestProblem } from './request-problem.js';

const wandb = { type: 'wandb', wandb: { project: 'p' } };

const job = (change: Record<string, unknown> = {}, hyperparameters: Record<string, unknown> = {}) => ({
  model: 'polymode-tiny',
  training_file: 'file-1',
  method: {
    type: 'reinforcement',
    reinforcement: { grader: { type: 'task', task: 'hypospace/voxel' }, hyperparameters },
  },
  ...change,
});

function problemOf(value: unknown, schema = CreateJobRequest as { safeParse: typeof CreateJobRequest.safeParse }) {
  const parsed = schema.safeParse(value);
  if (parsed.success) throw new Error('accepted');
  return requestProblem(parsed.error, value);
}

const at = (name: string) => `method.reinforcement.hyperparameters.${name}`;

describe('requestProblem', () => {
  it('accepts what is right', () => {
    expect(CreateJobRequest.safeParse(job({ suffix: 'v1.0', seed: 0, metadata: { a: '1' } })).success).toBe(true);
    expect(CreateJobRequest.safeParse(job({}, { group_size: 'auto', ips: 'auto', algorithm: 'grpo' })).success).toBe(
      true,
    );
  });

  it.each([
    ['group_size', 1, 'integer_below_min_value', '>= 2'],
    ['group_size', 257, 'integer_above_max_value', '<= 256'],
    ['max_steps', 0, 'integer_below_min_value', '>= 1'],
    ['learning_rate', 0, 'integer_below_min_value', '> 0'],
    ['learning_rate', 1.5, 'decimal_above_max_value', '<= 1'],
    ['temperature', 2.5, 'decimal_above_max_value', '<= 2'],
    ['batch_size', 2.5, 'invalid_type', "an integer or 'auto', but got 2.5"],
    ['batch_size', 'many', 'invalid_type', "a number or 'auto', but got a string"],
    ['batch_size', null, 'invalid_type', "a number or 'auto', but got null"],
    ['algorithm', 'ppo', 'invalid_value', "'ips-grpo', 'grpo'"],
    ['reasoning_effort', 'huge', 'invalid_value', "'default', 'low'"],
    ['trainable', 'some', 'invalid_value', "'lora', 'full'"],
    ['lr_schedule', 'step', 'invalid_value', "'constant', 'linear', 'cosine'"],
    ['warmup_steps', -1, 'integer_below_min_value', '>= 0'],
    ['top_k', 1.5, 'invalid_type', "an integer or 'auto', but got 1.5"],
    ['min_p', 1, 'integer_above_max_value', '< 1'],
    ['repetition_penalty', 0, 'integer_below_min_value', '> 0'],
    ['presence_penalty', -2.5, 'decimal_below_min_value', '>= -2'],
    ['stop', 'END', 'invalid_value', "Expected 'auto' or an array of up to 4 strings"],
    ['stop', ['a', 'b', 'c', 'd', 'e'], 'invalid_value', 'at most 4 strings'],
    ['memory_budget_mb', 10, 'integer_below_min_value', '>= 64'],
    ['memory_budget_mb', 'much', 'invalid_type', "a number or 'auto', but got a string"],
    ['grup_size', 4, 'unknown_parameter', "'method.reinforcement.hyperparameters.grup_size'"],
  ])('names hyperparameter %s = %j', (name, value, code, says) => {
    const problem = problemOf(job({}, { [name]: value }));
    expect(problem).toMatchObject({ param: at(name), code });
    expect(problem.message).toContain(says);
    expect(problem.message).toContain(at(name));
  });

  it.each([
    [{ exponent: 5 }, 'ips.exponent', 'integer_above_max_value'],
    [{ epsilon: 'x' }, 'ips.epsilon', 'invalid_type'],
    [{ alpha: 1 }, 'ips.alpha', 'unknown_parameter'],
    [3, 'ips', 'invalid_type'],
  ])('names what is wrong inside ips: %j', (ips, name, code) => {
    expect(problemOf(job({}, { ips }))).toMatchObject({ param: at(name), code });
  });

  it.each([
    [{ lora: { rank: 513 } }, 'lora.rank', 'integer_above_max_value'],
    [{ lora: { alpha: 0 } }, 'lora.alpha', 'integer_below_min_value'],
    [{ lora: { rslora: 1 } }, 'lora.rslora', 'invalid_type'],
    [{ lora: { dropout: 0.1 } }, 'lora.dropout', 'unknown_parameter'],
    [{ lora: { target_modules: 'q_proj' } }, 'lora.target_modules', 'invalid_value'],
    [{ lora: { target_modules: [] } }, 'lora.target_modules', 'invalid_value'],
    [{ lora: { target_modules: ['q_proj', 'q_proj'] } }, 'lora.target_modules', 'invalid_value'],
    [{ lora: { target_modules: ['q_proj', 3] } }, 'lora.target_modules[1]', 'invalid_type'],
    [{ optimizer: { beta1: 1 } }, 'optimizer.beta1', 'integer_above_max_value'],
    [{ optimizer: { weight_decay: -0.1 } }, 'optimizer.weight_decay', 'decimal_below_min_value'],
    [{ optimizer: { max_grad_norm: 0 } }, 'optimizer.max_grad_norm', 'integer_below_min_value'],
    [{ optimizer: { lr: 1 } }, 'optimizer.lr', 'unknown_parameter'],
    [{ stop: ['END', ''] }, 'stop[1]', 'string_below_min_length'],
  ])('names what is wrong inside %j', (hyperparameters, name, code) => {
    const problem = problemOf(job({}, hyperparameters));
    expect(problem).toMatchObject({ param: at(name), code });
    expect(problem.message).toContain(at(name));
  });

  it('says that target modules may be all-linear', () => {
    expect(problemOf(job({}, { lora: { target_modules: 3 } })).message).toContain(
      "Expected 'all-linear', 'auto' or an",
    );
  });

  it.each([
    [{ checkpoint_formats: ['merged', 'pickle'] }, 'checkpoint_formats[1]', "'adapter', 'merged', 'onnx', 'gguf'"],
    [{ checkpoint_formats: [] }, 'checkpoint_formats', 'at least one'],
    [{ checkpoint_formats: ['onnx', 'onnx'] }, 'checkpoint_formats', 'each checkpoint format once'],
    [{ checkpoint_formats: 'merged' }, 'checkpoint_formats', "Expected 'auto' or an array"],
    [{ gguf_type: 'Q4_K' }, 'gguf_type', "'F16', 'Q8_0'"],
  ])('names what is wrong with checkpoint settings: %j', (change, name, says) => {
    const { grader } = job().method.reinforcement;
    const problem = problemOf(job({ method: { type: 'reinforcement', reinforcement: { grader, ...change } } }));
    expect(problem).toMatchObject({ param: `method.reinforcement.${name}`, code: 'invalid_value' });
    expect(problem.message).toContain(says);
  });

  it.each([
    [{ model: undefined }, 'model', 'missing_required_parameter'],
    [{ model: 3 }, 'model', 'invalid_type'],
    [{ training_file: undefined }, 'training_file', 'missing_required_parameter'],
    [{ suffix: 'a:b' }, 'suffix', 'invalid_value'],
    [{ suffix: 'x'.repeat(65) }, 'suffix', 'string_above_max_length'],
    [{ seed: -1 }, 'seed', 'integer_below_min_value'],
    [{ method: 3 }, 'method', 'invalid_type'],
    [{ method: {} }, 'method.type', 'missing_required_parameter'],
    [{ method: { type: 'ppo' } }, 'method.type', 'invalid_value'],
    [{ method: { type: 'supervised', dpo: {} } }, 'method.dpo', 'unknown_parameter'],
    [
      { method: { type: 'dpo', dpo: { hyperparameters: { beta: 3 } } } },
      'method.dpo.hyperparameters.beta',
      'integer_above_max_value',
    ],
    [
      { method: { type: 'supervised', supervised: { hyperparameters: { group_size: 4 } } } },
      'method.supervised.hyperparameters.group_size',
      'unknown_parameter',
    ],
    [{ method: { type: 'reinforcement' } }, 'method.reinforcement', 'missing_required_parameter'],
    [
      { method: { type: 'reinforcement', reinforcement: {} } },
      'method.reinforcement.grader',
      'missing_required_parameter',
    ],
    [{ hyperparameters: { n_epochs: 0 } }, 'hyperparameters.n_epochs', 'integer_below_min_value'],
    [{ integrations: {} }, 'integrations', 'invalid_type'],
    [{ integrations: Array(6).fill(wandb) }, 'integrations', 'array_above_max_length'],
    [{ integrations: [{ type: 'mlflow' }] }, 'integrations[0].type', 'invalid_value'],
    [{ integrations: [{ type: 'wandb' }] }, 'integrations[0].wandb', 'missing_required_parameter'],
    [
      { integrations: [wandb, { type: 'wandb', wandb: {} }] },
      'integrations[1].wandb.project',
      'missing_required_parameter',
    ],
    [
      { integrations: [{ type: 'wandb', wandb: { project: 'a/b' } }] },
      'integrations[0].wandb.project',
      'invalid_value',
    ],
    [{ integrations: [{ type: 'wandb', wandb: { project: '..' } }] }, 'integrations[0].wandb.project', 'invalid_value'],
    [
      { integrations: [{ type: 'wandb', wandb: { project: 'p', tags: ['x'.repeat(65)] } }] },
      'integrations[0].wandb.tags[0]',
      'string_above_max_length',
    ],
    [{ integrations: [{ ...wandb, api_key: 'x' }] }, 'integrations[0].api_key', 'unknown_parameter'],
    [{ metadata: { k: 1 } }, 'metadata.k', 'invalid_type'],
    [{ metadata: { k: 'x'.repeat(513) } }, 'metadata.k', 'string_above_max_length'],
    [
      { metadata: Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`k${i}`, 'v'])) },
      'metadata',
      'invalid_value',
    ],
    [{ sufix: 'x' }, 'sufix', 'unknown_parameter'],
  ])('names the field of %j', (change, param, code) => {
    expect(problemOf(job(change))).toMatchObject({ param, code });
  });

  it('says what a missing body should be', () => {
    expect(problemOf(undefined)).toEqual({
      message: 'Missing request body: expected an object.',
      param: null,
      code: 'missing_required_parameter',
    });
  });

  it('speaks of other schemas in the same words', () => {
    expect(problemOf({ grader: { type: 'task' } }, RunGraderRequest as never)).toMatchObject({ param: 'model_sample' });
    expect(problemOf({ purpose: 'fun' }, CreateFileFields as never).message).toContain("'fine-tune'");
    const expiry = { purpose: 'fine-tune', expires_after: { anchor: 'created_at', seconds: '60' } };
    expect(problemOf(expiry, CreateFileFields as never)).toMatchObject({
      param: 'expires_after.seconds',
      code: 'integer_below_min_value',
    });
    expect(problemOf({ limit: '0' }, ListJobsQuery as never)).toMatchObject({ param: 'limit' });
    expect(problemOf({ limit: 'ten' }, ListJobsQuery as never)).toMatchObject({ param: 'limit', code: 'invalid_type' });
  });
});

describe('requests for completions', () => {
  const user = { role: 'user', content: 'Hi' };
  const call = { id: 'call_1', type: 'function', function: { name: 'f', arguments: '{}' } };
  const chatProblem = (change: object) =>
    problemOf({ model: 'm', messages: [user], ...change }, CreateChatCompletionRequest as never);
  const textProblem = (change: object) =>
    problemOf({ model: 'm', prompt: 'a', ...change }, CreateCompletionRequest as never);

  it('take answers as they came, and fields of other services', () => {
    const answer = {
      role: 'assistant',
      content: null,
      refusal: null,
      annotations: [],
      audio: null,
      tool_calls: [call],
    };
    const result = { role: 'tool', tool_call_id: 'call_1', content: [{ type: 'text', text: '5' }] };
    const request = { model: 'm', messages: [user, answer, result], reasoning_effort: 'low', seed: -(2 ** 60) };
    const parsed = CreateChatCompletionRequest.parse(request);
    expect(parsed).toEqual({
      ...request,
      reasoning_effort: undefined,
      messages: [user, { role: 'assistant', content: null, refusal: null, tool_calls: [call] }, result],
    });
  });

  it.each([
    [{ messages: [] }, 'messages', 'empty_array', 'minimum length 1'],
    [{ messages: [{ role: 'robot' }] }, 'messages[0].role', 'invalid_value', "'developer', 'system', 'user'"],
    [{ messages: [{ role: 'user' }] }, 'messages[0].content', 'missing_required_parameter', ''],
    [
      { messages: [{ role: 'user', content: 5 }] },
      'messages[0].content',
      'invalid_type',
      'an array or a string, but got 5',
    ],
    [{ messages: [{ role: 'assistant' }] }, 'messages[0].content', 'invalid_value', "'tool_calls'"],
    [
      { messages: [user, { role: 'user', content: [{ type: 'image_url', image_url: { url: 'data:' } }] }] },
      'messages[1].content[0].type',
      'invalid_value',
      'Models here read text',
    ],
    [{ stop: ['a', 'b', 'c', 'd', 'e'] }, 'stop', 'array_above_max_length', 'maximum length 4'],
    [{ stop: '' }, 'stop', 'string_below_min_length', ''],
    [{ seed: 0.5 }, 'seed', 'invalid_value', 'an integer'],
    [{ seed: 5e-324 }, 'seed', 'invalid_value', 'an integer'],
    [{ logit_bias: { the: 1 } }, 'logit_bias.the', 'invalid_value', 'id of a token'],
    [{ logit_bias: { 5: 101 } }, 'logit_bias.5', 'integer_above_max_value', '<= 100'],
    [{ tools: [{ type: 'custom', custom: {} }] }, 'tools[0].type', 'invalid_value', "'function'"],
    [{ tool_choice: 'any' }, 'tool_choice', 'invalid_value', "'none', 'auto', 'required'"],
    [{ tool_choice: { type: 'custom' } }, 'tool_choice.type', 'invalid_value', "'allowed_tools'"],
    [{ response_format: { type: 'xml' } }, 'response_format.type', 'invalid_value', "'json_schema'"],
    [{ n: 129 }, 'n', 'integer_above_max_value', '<= 128'],
  ])('name what is wrong with a chat: %j', (change, param, code, says) => {
    const problem = chatProblem(change);
    expect(problem).toMatchObject({ param, code });
    expect(problem.message).toContain(says);
  });

  it.each([
    [{ prompt: undefined }, 'prompt', 'missing_required_parameter', ''],
    [{ prompt: ['a', 1] }, 'prompt', 'invalid_value', 'the ids of its tokens'],
    [{ prompt: [[]] }, 'prompt[0]', 'empty_array', ''],
    [{ suffix: 'end' }, 'suffix', 'invalid_value', 'cannot fill a gap'],
    [{ logprobs: 6 }, 'logprobs', 'integer_above_max_value', '<= 5'],
  ])('name what is wrong with a text: %j', (change, param, code, says) => {
    const problem = textProblem(change);
    expect(problem).toMatchObject({ param, code });
    expect(problem.message).toContain(says);
  });
});

describe('checkpointModelName', () => {
  it('is made of base, organization, suffix and the end of the job id', () => {
    const parts = { id: 'ftjob-abcdefgh12345678', baseModel: 'polymode-tiny', organizationId: 'acme', suffix: 'v2' };
    expect(checkpointModelName(parts, 8)).toBe('ft:polymode-tiny:acme:v2:12345678:ckpt-step-8');
    expect(checkpointModelName({ ...parts, suffix: null }, 8)).toBe('ft:polymode-tiny:acme::12345678:ckpt-step-8');
  });
});
