import { appendEvents, listRunnableJobIds, succeedJob } from '@polymode/db';
import { BadRequestError, NotFoundError, toFile } from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  jobBody,
  leaveCheckpoint,
  refusal,
  startTestApi,
  type TestApi,
  uploadRows,
  voxelGrader,
  voxelRow,
} from './harness.js';

let api: TestApi;
let training: string;
beforeAll(async () => {
  api = await startTestApi();
  training = await uploadRows(api.client, voxelRow('1010'), voxelRow('0110'), voxelRow('1111'));
});
afterAll(() => api?.stop());

const create = (change: object = {}, hyperparameters: object = {}, file = training) =>
  api.client.fineTuning.jobs.create(jobBody(file, change, hyperparameters));

const post = (path: string, init: RequestInit = {}) =>
  fetch(`${api.url}/v1${path}`, {
    method: 'POST',
    ...init,
    headers: { authorization: `Bearer ${api.key}`, ...init.headers },
  });

describe('creating a job', () => {
  it('answers a queued job with every hyperparameter decided', async () => {
    const validation = await uploadRows(api.client, voxelRow('0001'));
    const change = { suffix: 'stacks', seed: 7, validation_file: validation, metadata: { run: 'a' } };
    const job = await create(change, { algorithm: 'grpo', max_steps: 24, batch_size: 'auto' });
    expect(job).toMatchObject({
      object: 'fine_tuning.job',
      status: 'queued',
      model: 'polymode-tiny',
      organization_id: 'acme',
      training_file: training,
      validation_file: validation,
      seed: 7,
      metadata: { run: 'a' },
      user_provided_suffix: 'stacks',
      fine_tuned_model: null,
      finished_at: null,
      trained_tokens: null,
      error: null,
      result_files: [],
      hyperparameters: { n_epochs: 3, batch_size: 3, learning_rate_multiplier: 1 },
    });
    expect(job.id).toMatch(/^ftjob-[0-9A-Za-z]{24}$/);
    expect(JSON.stringify(job)).not.toContain('auto');
    expect(job.method?.reinforcement).toMatchObject({
      grader: { type: 'task', name: 'voxel', task: 'hypospace/voxel' },
      hyperparameters: { algorithm: 'grpo', max_steps: 24, group_size: 16, eval_interval: 3, ips: { epsilon: 1 / 16 } },
    });
    expect(await api.client.fineTuning.jobs.retrieve(job.id)).toEqual(job);
    expect(await listRunnableJobIds(api.db)).toContain(job.id);
    // The queue has it: putting it in again changes nothing.
    expect(await api.queue.enqueue(job.id)).toBe(false);
  });

  it('makes a seed when none is given, and takes null for what is optional', async () => {
    const job = await create({ validation_file: null, suffix: null, seed: null, metadata: null, integrations: null });
    expect(job.seed).toBeGreaterThanOrEqual(0);
    expect(job.seed).toBeLessThan(2 ** 31);
    expect(job).toMatchObject({ validation_file: null, metadata: null });
  });

  it('tells what it did in events, newest first', async () => {
    const validation = await uploadRows(api.client, voxelRow('1010'));
    const job = await create({ validation_file: validation });
    const { data } = await api.client.fineTuning.jobs.listEvents(job.id);
    expect(data.map((event) => event.message)).toEqual([
      'Files validated, moving job to queued state',
      expect.stringMatching(/^1 validation rows are in the training file too/),
      `Validating training file: ${training} and validation file: ${validation}`,
      `Created fine-tuning job: ${job.id}`,
    ]);
    expect(data[1]).toMatchObject({ level: 'warn', type: 'message', object: 'fine_tuning.job.event', data: null });
  });

  it('decides by the size of the model what learns and what checkpoints hold', async () => {
    const reinforcement = async (...request: Parameters<typeof create>) =>
      (await create(...request)).method?.reinforcement;
    expect(await reinforcement()).toMatchObject({
      hyperparameters: { trainable: 'full' },
      checkpoint_formats: ['merged'],
      gguf_type: 'F16',
    });
    expect(await reinforcement({ model: 'Qwen/Qwen3-0.6B' }, { lora: { rank: 8 } })).toMatchObject({
      hyperparameters: { trainable: 'lora', lora: { rank: 8, alpha: 16, target_modules: 'all-linear' } },
      checkpoint_formats: ['adapter', 'merged'],
    });
  });

  it('writes the checkpoint formats that are asked for, and refuses an adapter where there is none', async () => {
    const asking = (checkpoint_formats: string[], trainable: string) =>
      create({
        method: {
          type: 'reinforcement',
          reinforcement: {
            grader: voxelGrader,
            hyperparameters: { trainable },
            checkpoint_formats,
            gguf_type: 'Q8_0',
          },
        },
      });
    expect((await asking(['adapter', 'gguf'], 'lora')).method?.reinforcement).toMatchObject({
      checkpoint_formats: ['adapter', 'gguf'],
      gguf_type: 'Q8_0',
    });
    expect(await refusal(asking(['adapter'], 'full'))).toMatchObject({
      status: 400,
      param: 'method.reinforcement.checkpoint_formats',
      message: expect.stringContaining("trainable to 'lora'"),
    });
  });

  it('takes a format of answers and tells it again', async () => {
    const asking = (response_format: unknown) =>
      create({ method: { type: 'reinforcement', reinforcement: { grader: voxelGrader, response_format } } });
    const told = ({ method }: Awaited<ReturnType<typeof create>>) =>
      (method?.reinforcement as { response_format?: unknown } | undefined)?.response_format;
    const schema = {
      $schema: 'http://json-schema.org/draft-07/schema#',
      type: 'object',
      properties: { x: { type: ['number', 'null'], minimum: 0 }, y: { $ref: '#/$defs/y' } },
      required: ['x'],
      additionalProperties: false,
      $defs: { y: { enum: ['a', 1] } },
    };
    const format = { type: 'json_schema', json_schema: { name: 'answer', strict: true, schema } };
    const job = await asking(format);
    expect(told(job)).toEqual(format);
    expect(told(await api.client.fineTuning.jobs.retrieve(job.id))).toEqual(format);
    const loose = { type: 'json_schema', json_schema: { name: 'answer', schema: {} } };
    expect(told(await asking(loose))).toEqual({ ...loose, json_schema: { ...loose.json_schema, strict: false } });
    expect([told(await asking(null)), told(await asking(undefined))]).toEqual([null, null]);

    const cut = create({
      method: {
        type: 'reinforcement',
        reinforcement: { grader: voxelGrader, response_format: format, hyperparameters: { stop: ['}'] } },
      },
    });
    expect(await refusal(cut)).toMatchObject({ status: 400, param: 'method.reinforcement.hyperparameters.stop' });

    const at = 'method.reinforcement.response_format';
    const named = (change: object) => ({ ...format, json_schema: { ...format.json_schema, ...change } });
    for (const [wrong, param, says] of [
      [{ type: 'json_object' }, `${at}.type`, "'json_schema'"],
      [{ type: 'json_schema' }, `${at}.json_schema`, ''],
      [named({ name: 'an answer' }), `${at}.json_schema.name`, 'letters'],
      [named({ strict: 'yes' }), `${at}.json_schema.strict`, ''],
      [named({ schema: [] }), `${at}.json_schema.schema`, ''],
      [named({ schema: { type: 'text' } }), `${at}.json_schema.schema`, '/type must be'],
      [named({ schema: { properties: { a: { minimum: 'b' } } } }), `${at}.json_schema.schema`, '/properties/a/minimum'],
      [named({ schema: { properties: { a: { not: { const: 1 } } } } }), `${at}.json_schema.schema`, '/properties/a'],
      [{ ...format, schema }, `${at}.schema`, ''],
    ] as const) {
      const error = await refusal(asking(wrong));
      expect(error).toMatchObject({ status: 400, type: 'invalid_request_error', param });
      expect(error.message).toContain(says);
    }
  });

  it('decides what counts as the same answer, and how often the grader may fail', async () => {
    const asking = (settings: object) =>
      create({ method: { type: 'reinforcement', reinforcement: { grader: voxelGrader, ...settings } } });
    expect((await asking({})).method?.reinforcement).toMatchObject({
      outcome: { type: 'grader' },
      max_grader_error_share: 0.1,
      grader_timeout_ms: 300_000,
    });
    const outcome = { type: 'template', template: '{{item.top}} {{sample.output_text}}' };
    expect((await asking({ outcome, max_grader_error_share: 0 })).method?.reinforcement).toMatchObject({
      outcome,
      max_grader_error_share: 0,
    });
    expect(await refusal(asking({ outcome: { type: 'regex', pattern: '(' } }))).toMatchObject({
      status: 400,
      param: 'method.reinforcement.outcome.pattern',
      code: 'invalid_outcome',
    });
    const unknown = { type: 'template', template: '{{item.answer}} {{sample.output_text}}' };
    expect(await refusal(asking({ outcome: unknown }))).toMatchObject({
      param: 'training_file',
      message: expect.stringMatching(/Line 1 .*item\.answer/),
    });
    expect(await refusal(asking({ max_grader_error_share: 2 }))).toMatchObject({
      param: 'method.reinforcement.max_grader_error_share',
    });
  });

  it('takes every method, supervised when none is named', async () => {
    const turn = { messages: [...voxelRow('1010').messages, { role: 'assistant', content: '5' }] };
    const supervised = await uploadRows(api.client, ...Array.from({ length: 10 }, () => turn));
    const jobs = api.client.fineTuning.jobs;
    const job = await jobs.create({
      model: 'polymode-tiny',
      training_file: supervised,
      hyperparameters: { n_epochs: 2, batch_size: 'auto' },
    });
    expect(job.method).toMatchObject({
      type: 'supervised',
      supervised: {
        hyperparameters: { n_epochs: 2, batch_size: 8, max_steps: 4, eval_interval: 2, trainable: 'full' },
        checkpoint_formats: ['merged'],
      },
    });
    expect(job.hyperparameters).toEqual({ n_epochs: 2, batch_size: 8, learning_rate_multiplier: 1 });
    expect(await jobs.retrieve(job.id)).toEqual(job);

    const pair = {
      input: { messages: voxelRow('1010').messages },
      preferred_output: [{ role: 'assistant', content: 'a' }],
      non_preferred_output: [{ role: 'assistant', content: 'b' }],
    };
    const preferences = await uploadRows(api.client, ...Array.from({ length: 10 }, () => pair));
    const dpo = await jobs.create({
      model: 'polymode-tiny',
      training_file: preferences,
      method: { type: 'dpo', dpo: { hyperparameters: { beta: 0.2, n_epochs: 'auto' } } },
    });
    expect(dpo.method).toMatchObject({ type: 'dpo', dpo: { hyperparameters: { beta: 0.2, n_epochs: 3 } } });

    // A file of one method is none of another.
    expect(await refusal(jobs.create({ model: 'polymode-tiny', training_file: preferences }))).toMatchObject({
      status: 400,
      param: 'training_file',
      code: 'invalid_training_file',
    });
    const few = await uploadRows(api.client, turn, turn, turn);
    expect(await refusal(jobs.create({ model: 'polymode-tiny', training_file: few }))).toMatchObject({
      code: 'invalid_n_examples',
      message: expect.stringContaining('Training file has 3 example(s), but must have at least 10 examples'),
    });
    expect(await refusal(create({ hyperparameters: { n_epochs: 2 } }))).toMatchObject({
      param: 'hyperparameters',
      message: expect.stringContaining("Set 'method.reinforcement.hyperparameters' instead"),
    });
  });

  const inHyperparameters = (name: string) => `method.reinforcement.hyperparameters.${name}`;
  it.each<[string, object, object, string, string]>([
    ['an unknown model', { model: 'gpt-9' }, {}, 'model', 'model_not_found'],
    ['a fine-tuned model', { model: 'ft:polymode-tiny:acme::12345678' }, {}, 'model', 'model_not_found'],
    ['no model', { model: undefined }, {}, 'model', 'missing_required_parameter'],
    ['an unknown training file', { training_file: 'file-nope' }, {}, 'training_file', 'file_not_found'],
    ['an unstorable file id', { training_file: 'file-\0' }, {}, 'training_file', 'invalid_value'],
    ['an unknown validation file', { validation_file: 'file-nope' }, {}, 'validation_file', 'file_not_found'],
    ['a group of one', {}, { group_size: 1 }, inHyperparameters('group_size'), 'integer_below_min_value'],
    ['epochs out of range', {}, { n_epochs: 51 }, inHyperparameters('n_epochs'), 'integer_above_max_value'],
    ['a clip of 0', {}, { clip_epsilon: 0 }, inHyperparameters('clip_epsilon'), 'integer_below_min_value'],
    ['a text for a number', {}, { temperature: 'hot' }, inHyperparameters('temperature'), 'invalid_type'],
    ['an exponent of 5', {}, { ips: { exponent: 5 } }, inHyperparameters('ips.exponent'), 'integer_above_max_value'],
    ['an unknown hyperparameter', {}, { groupsize: 4 }, inHyperparameters('groupsize'), 'unknown_parameter'],
    ['another method', { method: { type: 'ppo' } }, {}, 'method.type', 'invalid_value'],
    ['a method without a type', { method: {} }, {}, 'method.type', 'missing_required_parameter'],
    ['a colon in the suffix', { suffix: 'a:b' }, {}, 'suffix', 'invalid_value'],
    ['half a surrogate pair', { metadata: { k: '\ud800' } }, {}, 'metadata.k', 'invalid_value'],
  ])('refuses %s and names the field', async (_what, change, hyperparameters, param, code) => {
    const error = await refusal(create(change, hyperparameters));
    expect(error).toBeInstanceOf(BadRequestError);
    expect(error).toMatchObject({ status: 400, type: 'invalid_request_error', param, code });
    expect(error.requestID).toMatch(/^req_/);
  });

  it('refuses a wrong grader and names its field', async () => {
    const grader = { type: 'string_check', name: 'n', input: 'a', reference: 'b', operation: 'same' };
    const error = await refusal(create({ method: { type: 'reinforcement', reinforcement: { grader } } }));
    expect(error).toMatchObject({
      status: 400,
      param: 'method.reinforcement.grader.operation',
      code: 'invalid_grader',
    });
    const named = { type: 'task', name: 'a\0b', task: 'hypospace/voxel' };
    expect(
      await refusal(create({ method: { type: 'reinforcement', reinforcement: { grader: named } } })),
    ).toMatchObject({ status: 400, param: 'method.reinforcement.grader.name' });
  });

  it('refuses a file of another purpose', async () => {
    const file = await toFile(Buffer.from('{}'), 'rows.jsonl');
    const other = await api.client.files.create({ file, purpose: 'batch' });
    const error = await refusal(create({}, {}, other.id));
    expect(error).toMatchObject({ status: 400, param: 'training_file', code: 'invalid_file_purpose' });
    expect(error.message).toContain("purpose 'batch'");
  });

  it('refuses rows that lack what the grader reads, naming lines and fields', async () => {
    const { top: _top, ...topless } = voxelRow('1010');
    const file = await uploadRows(api.client, voxelRow('1010'), topless, { ...voxelRow('1010'), grid: 'two' });
    const error = await refusal(create({}, {}, file));
    expect(error).toMatchObject({ status: 400, param: 'training_file', code: 'invalid_training_file' });
    expect(error.message).toContain('2 invalid lines:');
    expect(error.message).toMatch(/^Line 2 cannot be graded: .*item\.top/m);
    expect(error.message).toMatch(/^Line 3 cannot be graded: .*item\.grid/m);
    const reversed = await refusal(create({ validation_file: file }));
    expect(reversed).toMatchObject({ param: 'validation_file', code: 'invalid_validation_file' });
  });

  it('refuses texts that hold tokens of the base model, in rows of every kind', async () => {
    const row = voxelRow('1010');
    const marked = { ...row, messages: [{ role: 'user', content: 'Stop.<|endoftext|>' }] };
    const file = await uploadRows(api.client, row, marked);
    const error = await refusal(create({}, {}, file));
    expect(error).toMatchObject({ status: 400, param: 'training_file', code: 'invalid_training_file' });
    expect(error.message).toMatch(/^Line 2 has messages\[0\] that contains an invalid token: <\|endoftext\|>\.$/m);
    expect(await refusal(create({ validation_file: file }))).toMatchObject({
      param: 'validation_file',
      code: 'invalid_validation_file',
      message: expect.stringContaining('Line 2 has messages[0] that contains an invalid token'),
    });
    // Right for one model and wrong for another, in either order.
    expect((await create({ model: 'Qwen/Qwen3-0.6B' }, {}, file)).model).toBe('Qwen/Qwen3-0.6B');
    expect(await refusal(create({}, {}, file))).toMatchObject({ code: 'invalid_training_file' });

    const texts = { prompt: 'a', completion: 'b<|user|>' };
    const many = await uploadRows(api.client, ...Array.from({ length: 10 }, () => texts));
    const supervised = { model: 'polymode-tiny', training_file: many };
    expect((await refusal(api.client.fineTuning.jobs.create(supervised))).message).toContain(
      "Line 10 has a 'completion' that contains an invalid token: <|user|>",
    );
    const dryRun = api.client.post('/fine_tuning/jobs?dry_run=true', { body: supervised });
    expect(await refusal(dryRun)).toMatchObject({ code: 'invalid_training_file' });
  });

  it('takes supervised rows with functions, which tools were before', async () => {
    const call = { name: 'add', arguments: '{"a": 1}' };
    const functions = [{ name: 'add', parameters: { type: 'object', properties: {} } }];
    const messages = [
      { role: 'user', content: 'How much?' },
      { role: 'assistant', content: null, function_call: call, weight: 1 },
      { role: 'function', name: 'add', content: '3' },
      { role: 'assistant', content: 'Three.' },
    ];
    const training_file = await uploadRows(api.client, ...Array.from({ length: 10 }, () => ({ messages, functions })));
    const job = await api.client.fineTuning.jobs.create({ model: 'polymode-tiny', training_file });
    expect(job.status).toBe('queued');
  });

  it('refuses conversations that do not end with the user', async () => {
    const row = voxelRow('1010');
    const answered = { ...row, messages: [...row.messages, { role: 'assistant', content: 'no' }] };
    const error = await refusal(create({}, {}, await uploadRows(api.client, row, answered, { ...row, messages: [] })));
    expect(error).toMatchObject({ param: 'training_file', code: 'invalid_training_file' });
    expect(error.message).toMatch(/^Line 2 ends with a message of role 'assistant'/m);
    expect(error.message).toMatch(/^Line 3 has empty 'messages'/m);
  });

  it('refuses more validation rows than allowed', async () => {
    const many = await uploadRows(api.client, ...Array.from({ length: 1001 }, () => voxelRow('1010')));
    const error = await refusal(create({ validation_file: many }));
    expect(error).toMatchObject({ status: 400, param: 'validation_file', code: 'invalid_n_examples' });
    expect(error.message).toContain('at most 1000');
  });

  it('survives a queue that is away: the job is created, and found by the reconciler', async () => {
    // The one fake: a queue that cannot be reached.
    const enqueue = () => Promise.reject(new Error('connect ECONNREFUSED'));
    const { buildApp } = await import('@polymode/api');
    const { createLogger } = await import('@polymode/telemetry');
    const app = await buildApp({
      db: api.db,
      storage: api.storage,
      queue: { enqueue, enqueueNew: enqueue },
      logger: createLogger({ name: 'api', level: 'silent' }),
      listBaseModels: () => [{ id: 'polymode-tiny', createdAt: 0 }],
      parameterCount: async () => undefined,
      specialTokens: async () => [],
      graderServices: {},
    });
    const response = await app.inject({
      method: 'POST',
      url: '/v1/fine_tuning/jobs',
      headers: { authorization: `Bearer ${api.key}` },
      payload: jobBody(training),
    });
    await app.close();
    expect(response.statusCode).toBe(200);
    expect(await listRunnableJobIds(api.db)).toContain(response.json().id);
  });
});

describe('jobs', () => {
  it('are listed newest first, a page at a time, without repeats', async () => {
    const ids: string[] = [];
    for (let i = 0; i < 4; i++) ids.unshift((await create({ metadata: { batch: 'pages', i: String(i) } })).id);
    const all: string[] = [];
    for await (const job of api.client.fineTuning.jobs.list({ limit: 1 })) all.push(job.id);
    expect(all.slice(0, 4)).toEqual(ids);
    expect(new Set(all).size).toBe(all.length);
    const batch: string[] = [];
    for await (const job of api.client.fineTuning.jobs.list({ limit: 3, metadata: { batch: 'pages' } }))
      batch.push(job.id);
    expect(batch).toEqual(ids);
    const one = await api.client.fineTuning.jobs.list({ metadata: { batch: 'pages', i: '2' } });
    expect(one.data.map((job) => job.id)).toEqual([ids[1]]);
    const bare = await create({ metadata: null });
    for (const query of ['metadata=null', 'metadata=']) {
      const response = await fetch(`${api.url}/v1/fine_tuning/jobs?${query}&limit=100`, {
        headers: { authorization: `Bearer ${api.key}` },
      });
      const { data } = (await response.json()) as { data: { id: string; metadata: unknown }[] };
      expect(data.map((job) => job.id)).toContain(bare.id);
      expect(data.every((job) => job.metadata === null)).toBe(true);
    }
  });

  it('page through events without repeats', async () => {
    const job = await create();
    const texts = Array.from({ length: 7 }, (_, i) => `Step ${i + 1}`);
    await appendEvents(
      api.db,
      job.id,
      texts.map((message, i) => ({ dedupeKey: `step:${i}`, message, type: 'metrics', data: { step: i + 1 } })),
    );
    const seen: { message: string; data?: unknown }[] = [];
    for await (const event of api.client.fineTuning.jobs.listEvents(job.id, { limit: 3 })) seen.push(event);
    expect(seen.slice(0, 7).map((event) => event.message)).toEqual([...texts].reverse());
    expect(seen).toHaveLength(10);
    expect(seen[0]?.data).toEqual({ step: 7 });
    const error = await refusal(api.client.fineTuning.jobs.listEvents(job.id, { after: 'ftevent-nope' }));
    expect(error).toMatchObject({ status: 400, param: 'after', code: 'invalid_after' });
    expect(await refusal(api.client.fineTuning.jobs.listEvents(job.id, { limit: 0 }))).toMatchObject({
      param: 'limit',
    });
  });

  it('that do not exist are 404s', async () => {
    const { jobs } = api.client.fineTuning;
    for (const call of [
      () => jobs.retrieve('ftjob-nope'),
      () => jobs.cancel('ftjob-nope'),
      () => jobs.listEvents('ftjob-nope'),
      () => jobs.checkpoints.list('ftjob-nope'),
    ]) {
      const error = await refusal(call());
      expect(error).toBeInstanceOf(NotFoundError);
      expect(error).toMatchObject({ param: 'fine_tune_id', code: 'fine_tune_not_found' });
      expect(error.message).toContain('Could not find fine tune: ftjob-nope');
    }
  });
});

describe('cancelling', () => {
  it('works with the SDK, with an empty body under any content type, and again', async () => {
    const job = await create();
    const cancelled = await api.client.fineTuning.jobs.cancel(job.id);
    expect(cancelled).toMatchObject({ id: job.id, status: 'cancelled', fine_tuned_model: null });
    expect(cancelled.finished_at).toBeGreaterThanOrEqual(job.created_at);
    for (const headers of [
      { 'content-type': 'application/json' },
      { 'content-type': 'application/json; charset=utf-8' },
      { 'content-type': 'application/x-www-form-urlencoded' },
    ]) {
      const other = await create();
      const response = await post(`/fine_tuning/jobs/${other.id}/cancel`, { headers });
      expect([response.status, await response.json()]).toEqual([200, expect.objectContaining({ status: 'cancelled' })]);
    }
    expect((await api.client.fineTuning.jobs.cancel(job.id)).status).toBe('cancelled');
    const { data } = await api.client.fineTuning.jobs.listEvents(job.id);
    expect(data.filter((event) => event.message === 'The job was cancelled')).toHaveLength(1);
  });

  it('is refused once a job has ended, and says not to try again', async () => {
    const job = await create();
    await leaveCheckpoint(api, job.id, 1, { 'model/config.json': Buffer.from('{}') });
    const result = { fineTunedModel: `ft:polymode-tiny:acme::${job.id.slice(-8)}`, trainedTokens: 12, resultFiles: [] };
    await succeedJob(api.db, job.id, 'test-worker', result, []);
    const error = await refusal(api.client.fineTuning.jobs.cancel(job.id));
    expect(error).toMatchObject({ status: 400, param: 'fine_tune_id', code: 'fine_tune_already_ended' });
    expect(error.headers?.get('x-should-retry')).toBe('false');
    expect(await api.client.fineTuning.jobs.retrieve(job.id)).toMatchObject({
      status: 'succeeded',
      trained_tokens: 12,
      fine_tuned_model: result.fineTunedModel,
    });
  });
});
