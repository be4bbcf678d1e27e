import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { BadRequestError } from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { jobBody, refusal, startTestApi, type TestApi, uploadRows, voxelGrader } from './harness.js';

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
});
afterAll(() => api?.stop());

interface Vectors {
  instances: Record<string, Record<string, unknown>>;
  cases: { instance: string; text: string; tag: string; valid: boolean; key: string | null }[];
}

const run = (body: object) => api.client.fineTuning.alpha.graders.run(body as never);
const outcomeOf = (response: Awaited<ReturnType<typeof run>>) => (response.metadata as { outcome?: unknown }).outcome;

function vectors<Content>(name: string): Content {
  const path = new URL(`../../../packages/verifiers/test/vectors/${name}.json`, import.meta.url);
  return JSON.parse(readFileSync(path, 'utf8')) as Content;
}

describe.each(['boolean', 'causal', 'voxel'])('the %s task through graders/run', (domain) => {
  const { instances, cases } = vectors<Vectors>(`${domain}_cases`);

  it(`rewards 1 exactly for valid answers and names their outcome, in all ${cases.length} cases`, async () => {
    expect(cases.length).toBeGreaterThan(50);
    const wrong: unknown[] = [];
    for (const one of cases) {
      const response = await run({
        grader: { type: 'task', task: `hypospace/${domain}` },
        model_sample: one.text,
        item: instances[one.instance],
      });
      const expected = { reward: one.valid ? 1 : 0, outcome: one.key ?? 'unparseable' };
      const got = { reward: response.reward, outcome: outcomeOf(response) };
      if (JSON.stringify(got) !== JSON.stringify(expected)) wrong.push({ tag: one.tag, text: one.text, expected, got });
    }
    expect(wrong).toEqual([]);
  });
});

describe('tasks whose answers earn different rewards, through graders/run', () => {
  const graded = async (task: string, text: string, item: object) => {
    const response = await run({ grader: { type: 'task', task }, model_sample: text, item });
    return { reward: response.reward, outcome: outcomeOf(response) };
  };

  it('hypergrid: every sampled cell', async () => {
    const { grids } = vectors<{ grids: { D: number; H: number; samples: { cell: number[]; reward: number }[] }[] }>(
      'hypergrid',
    );
    for (const { D: dimensions, H: side, samples } of grids) {
      for (const { cell, reward } of samples) {
        const moves = cell.flatMap((steps, axis) => Array.from({ length: steps }, () => 'xy'[axis]!));
        const found = await graded('hypergrid', [...moves, 'stop'].join(' '), { dimensions, side });
        expect(found).toEqual({ reward: expect.closeTo(reward, 12), outcome: cell.join(',') });
      }
    }
  });

  it('molecules/amide-lite: every molecule of the vectors', async () => {
    const { cases } = vectors<{ cases: { input: string; accepted: boolean; canonical: string }[] }>('molecules');
    for (const { input, accepted, canonical } of cases) {
      const { outcome } = await graded('molecules/amide-lite', `SMILES: ${input}`, {});
      expect([input, outcome]).toEqual([input, accepted ? canonical : 'unparseable']);
    }
    const { molecules } = vectors<{ molecules: [string, number, number, number, number][] }>('amide_space');
    for (const [smiles, , qed7, donors] of molecules) {
      const { reward } = await graded('molecules/amide-lite', `SMILES: ${smiles}`, {});
      // The vectors are rounded to four digits.
      expect([smiles, reward]).toEqual([smiles, donors <= 3 ? expect.closeTo(qed7, 3) : 0]);
    }
  });
});

describe('graders/run', () => {
  const stringCheck = {
    type: 'string_check' as const,
    name: 'same',
    input: '{{sample.output_text}}',
    reference: '{{item.answer}}',
    operation: 'eq' as const,
  };

  const alike = {
    type: 'text_similarity' as const,
    name: 'alike',
    input: '{{sample.output_text}}',
    reference: '{{item.answer}}',
    evaluation_metric: 'rouge_1' as const,
  };

  it('answers every key of the API', async () => {
    const response = await run({ grader: stringCheck, model_sample: 'yes', item: { answer: 'yes' } });
    expect(response).toMatchObject({
      reward: 1,
      sub_rewards: {},
      model_grader_token_usage_per_model: {},
      metadata: {
        name: 'same',
        type: 'string_check',
        scores: { same: 1 },
        sampled_model_name: null,
        token_usage: null,
        outcome: 'yes',
        error_message: null,
      },
    });
    expect(Object.values(response.metadata.errors).every((flag) => flag === false || flag === null)).toBe(true);
    expect(Object.keys(response.metadata.errors)).toHaveLength(14);
    expect(response.metadata.execution_time).toBeGreaterThanOrEqual(0);
  });

  it('flags a grader that could not grade, and answers 200', async () => {
    for (const body of [
      { grader: stringCheck, model_sample: 'yes', item: {} },
      { grader: voxelGrader, model_sample: 'yes' },
      { grader: voxelGrader, model_sample: 'yes', item: { grid: 2, max_height: 2, top: '00x1' } },
    ]) {
      const response = await run(body);
      expect(response.reward).toBe(0);
      expect(response.metadata.errors.invalid_variable_error).toBe(true);
      expect(outcomeOf(response)).toBeNull();
      expect(response.metadata).toHaveProperty('error_message', expect.stringContaining('item.'));
    }
  });

  it('flags an answer that the grader could not read', async () => {
    const json = { ...stringCheck, input: '{{sample.output_json.answer}}' };
    const response = await run({ grader: json, model_sample: 'not json', item: { answer: 'yes' } });
    expect(response).toMatchObject({ reward: 0, metadata: { outcome: 'unparseable', scores: { same: 0 } } });
    expect(response.metadata.errors.sample_parse_error).toBe(true);
  });

  it('answers the reward of each part of a multi grader', async () => {
    const grader = {
      type: 'multi' as const,
      name: 'both',
      graders: { same: stringCheck, alike },
      calculate_output: '0.5 * same + 0.5 * alike',
    };
    const body = { grader, model_sample: 'a  b', item: { answer: 'a c' } };
    expect(await run(body)).toMatchObject({
      reward: 0.25,
      sub_rewards: { same: 0, alike: 0.5 },
      metadata: { outcome: 'a b', error_message: null },
    });
    expect(outcomeOf(await run({ ...body, outcome: { type: 'regex', pattern: 'a|b' } }))).toBe('a');
    const broken = await run({ ...body, grader: { ...grader, calculate_output: '1 / same' } });
    expect(broken.metadata.errors.formula_parse_error).toBe(true);
    const error = await refusal(run({ ...body, outcome: { type: 'regex', pattern: '(' } }));
    expect(error).toMatchObject({ status: 400, param: 'outcome.pattern', code: 'invalid_outcome' });
  });

  it('flags what users’ code does, with its traceback or what became of the sandbox', async () => {
    const python = (source: string) => ({ type: 'python' as const, name: 'own', source, timeout_ms: 60_000 });
    const raised = await run({ grader: python('def grade(sample, item):\n  return 1 / 0'), model_sample: 'x' });
    expect(raised).toMatchObject({ reward: 0, metadata: { scores: {}, outcome: null } });
    expect(raised.metadata.errors).toMatchObject({
      python_grader_runtime_error: true,
      python_grader_runtime_error_details: expect.stringMatching(/line 2, in grade[\s\S]*ZeroDivisionError/),
      python_grader_server_error: false,
      python_grader_server_error_type: null,
    });
    const endless = { ...python('def grade(sample, item):\n  while True: pass'), timeout_ms: 200 };
    expect((await run({ grader: endless, model_sample: 'x' })).metadata.errors).toMatchObject({
      python_grader_server_error: true,
      python_grader_server_error_type: 'timeout',
      python_grader_runtime_error: false,
    });
    const javascript = {
      type: 'javascript',
      name: 'own',
      source: 'export const grade = () => null.x;',
      timeout_ms: 60_000,
    };
    const thrown = await run({ grader: javascript, model_sample: 'x' });
    // The API has no flag for what is ours alone.
    expect(thrown.metadata.errors.other_error).toBe(true);
    const inside = {
      type: 'multi',
      name: 'm',
      graders: { code: python('def grade(s, i): return "x"') },
      calculate_output: 'code',
    };
    expect(await run({ grader: inside, model_sample: 'x' })).toMatchObject({
      reward: 0,
      sub_rewards: {},
      metadata: {
        errors: { python_grader_runtime_error: true },
        error_message: expect.stringContaining("grader 'code'"),
      },
    });
  });

  it('grades an answer of hundreds of kilobytes', async () => {
    const text = 'yes and no '.repeat(20_000);
    const body = { grader: alike, model_sample: text, item: { answer: `${text} or` } };
    expect(await run(body)).toMatchObject({ reward: expect.closeTo(120_000 / 120_001, 9), sub_rewards: {} });
  });

  it.each([
    [{ ...stringCheck, operation: 'neq' }, 'grader.operation'],
    [{ ...stringCheck, input: '{{answer}}' }, 'grader.input'],
    [{ type: 'task', task: 'hypospace/chess' }, 'grader.task'],
    [{ type: 'score_model', name: 'judge', model: 'm', input: [{ role: 'user', content: 'x' }] }, 'grader.type'],
    [{ ...alike, evaluation_metric: 'cosine' }, 'grader.evaluation_metric'],
    [
      { type: 'multi', name: 'm', graders: { email: { ...stringCheck, operation: 'neq' } }, calculate_output: 'email' },
      'grader.graders.email.operation',
    ],
    [{ type: 'multi', name: 'm', graders: { a: stringCheck }, calculate_output: 'a +' }, 'grader.calculate_output'],
    [{ type: 3 }, 'grader.type'],
    [undefined, 'grader'],
  ])('refuses the definition %j and names the field', async (grader, param) => {
    const error = await refusal(run({ grader, model_sample: 'x' }));
    expect(error).toBeInstanceOf(BadRequestError);
    expect(error).toMatchObject({ status: 400, type: 'invalid_request_error', param });
  });

  it('wants the answer as text', async () => {
    const error = await refusal(run({ grader: voxelGrader, model_sample: 3 }));
    expect(error).toMatchObject({ status: 400, param: 'model_sample', code: 'invalid_type' });
  });
});

describe('graders that ask a model', () => {
  const input = [{ role: 'user' as const, content: 'Is {{sample.output_text}} right?' }];
  const judging = { type: 'score_model' as const, name: 'judge', model: 'gpt-4.1', input };
  let server: Server;
  let judged: TestApi;
  let givenUp = 0;
  beforeAll(async () => {
    server = createServer((request, response) => {
      let text = '';
      request.on('data', (chunk) => {
        text += chunk;
      });
      request.on('end', () => {
        const { messages } = JSON.parse(text) as { messages: { content: string }[] };
        if (messages.some(({ content }) => content.includes('silent'))) {
          request.socket.once('close', () => givenUp++);
          return;
        }
        const broken = messages.some(({ content }) => content.includes('broken'));
        response.writeHead(broken ? 401 : 200);
        const message = { role: 'assistant', content: '{"steps": [], "result": 0.75}' };
        const usage = { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 };
        response.end(broken ? 'no such key' : JSON.stringify({ choices: [{ message }], usage }));
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const judge = { baseUrl: `http://127.0.0.1:${port}/v1` };
    judged = await startTestApi({ graderServices: { judge } });
  });
  afterAll(async () => {
    await judged?.stop();
    server.close();
  });

  it('answer what the model says, and what it took', async () => {
    const body = { grader: judging, model_sample: '4' };
    const usage = { prompt_tokens: 7, completion_tokens: 3, cached_tokens: 0, total_tokens: 10 };
    expect(await judged.client.fineTuning.alpha.graders.run(body)).toMatchObject({
      reward: 0.75,
      metadata: { sampled_model_name: 'gpt-4.1', token_usage: usage },
      model_grader_token_usage_per_model: { 'gpt-4.1': usage },
    });
  });

  it('flag a model that cannot be asked', async () => {
    const body = { grader: judging, model_sample: 'broken' };
    const { reward, metadata } = await judged.client.fineTuning.alpha.graders.run(body);
    expect(reward).toBe(0);
    expect(metadata.errors).toMatchObject({
      model_grader_server_error: true,
      model_grader_server_error_details: 'no such key',
    });
  });

  it('are given up with the request that asks for them', async () => {
    const abort = new AbortController();
    const body = { grader: judging, model_sample: 'silent' };
    const call = judged.client.fineTuning.alpha.graders.run(body, { signal: abort.signal });
    setTimeout(() => abort.abort(), 200);
    await expect(call).rejects.toThrow('aborted');
    await expect.poll(() => givenUp, { timeout: 10_000 }).toBe(1);
  });

  it('are validated with their defaults', async () => {
    const { grader } = await judged.client.fineTuning.alpha.graders.validate({ grader: judging });
    expect(grader).toEqual({ ...judging, range: [0, 1] });
  });
});

describe('items', () => {
  it('have the conversation as well', async () => {
    const messages = [{ role: 'user', content: 'Say yes.' }];
    const grader = {
      type: 'string_check',
      input: '{{item.messages[0].content}}',
      reference: 'Say yes.',
      operation: 'eq',
    };
    const run = await api.client.fineTuning.alpha.graders.run({
      grader,
      model_sample: 'yes',
      item: { messages },
    } as never);
    expect(run).toMatchObject({ reward: 1, metadata: { name: 'string_check' } });
    const whole = { ...grader, input: '{{item.messages}}', operation: 'like' };
    const file = await uploadRows(api.client, { messages });
    const job = await api.client.fineTuning.jobs.create(
      jobBody(file, { method: { type: 'reinforcement', reinforcement: { grader: whole } } }),
    );
    expect(job.status).toBe('queued');
  });
});

describe('graders/validate', () => {
  it('answers the definition with its defaults', async () => {
    const body = { grader: { type: 'task', task: 'hypospace/boolean' } };
    const { grader } = await api.client.fineTuning.alpha.graders.validate(body as never);
    expect(grader).toEqual({ type: 'task', name: 'hypospace/boolean', task: 'hypospace/boolean' });
  });

  it('refuses a definition that is wrong', async () => {
    const body = { grader: { type: 'string_check', name: 'n', input: 'a', operation: 'eq' } };
    const error = await refusal(api.client.fineTuning.alpha.graders.validate(body as never));
    expect(error).toMatchObject({ status: 400, param: 'grader.reference', code: 'invalid_grader' });
  });
});
