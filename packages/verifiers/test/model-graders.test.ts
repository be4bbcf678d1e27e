import { compileGrader, compileOutcome, GraderConfigError, type JudgeSettings } from '@polymode/verifiers';
import { afterEach, describe, expect, it } from 'vitest';
import {
  completion,
  type JudgeAnswer,
  type JudgeCall,
  type JudgeServer,
  judgement,
  startJudge,
} from './judge-server.js';

const servers: JudgeServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

const scoreModel = {
  type: 'score_model',
  name: 'judge',
  model: 'gpt-4.1',
  input: [
    { role: 'developer', content: 'Grade the answer.' },
    { type: 'message', role: 'user', content: 'Answer: {{sample.output_text}}\nTruth: {{item.truth}}' },
  ],
};
const labelModel = {
  ...scoreModel,
  type: 'label_model',
  labels: ['right', 'Wrong', 'unsure'],
  passing_labels: ['right', 'unsure'],
};
const sample = { output_text: '4' };
const item = { truth: { value: 4 } };

async function start(answer: (call: JudgeCall, n: number) => JudgeAnswer): Promise<JudgeServer> {
  const server = await startJudge(answer);
  servers.push(server);
  return server;
}

/** A grader and the server that it asks. */
async function asking(
  answer: (call: JudgeCall, n: number) => JudgeAnswer,
  definition: object = scoreModel,
  settings: Partial<JudgeSettings> = {},
) {
  const server = await start(answer);
  const judge = { baseUrl: server.baseUrl, retryDelayMs: 1, ...settings };
  return { server, grader: compileGrader(definition, { judge }) };
}

describe('score_model', () => {
  it('asks with filled messages and a schema, and takes the result', async () => {
    const { server, grader } = await asking(() => judgement(0.75), scoreModel, {
      apiKey: 'secret',
      models: { 'gpt-4.1': 'local/judge' },
    });
    expect(await grader.grade(sample, item)).toEqual({
      reward: 0.75,
      usage: { 'gpt-4.1': { prompt_tokens: 10, completion_tokens: 5, cached_tokens: 4, total_tokens: 15 } },
    });
    const [call] = server.calls;
    expect(server.calls).toHaveLength(1);
    expect(call!.path).toBe('/v1/chat/completions');
    expect(call!.headers.authorization).toBe('Bearer secret');
    expect(call!.body.model).toBe('local/judge');
    expect(call!.body.messages).toEqual([
      { role: 'system', content: expect.stringMatching(/^Grade the answer\.\n\nAnswer with one JSON.*from 0 to 1/) },
      { role: 'user', content: 'Answer: 4\nTruth: {"value":4}' },
    ]);
    expect(call!.body.response_format).toMatchObject({
      type: 'json_schema',
      json_schema: { strict: true, schema: { properties: { result: { type: 'number' } } } },
    });
  });

  it('passes sampling parameters and content of every kind', async () => {
    const definition = {
      ...scoreModel,
      range: [-1, 3],
      pass_threshold: 2,
      sampling_params: { seed: 7, top_p: 0.9, temperature: 0, max_completions_tokens: 99, reasoning_effort: 'low' },
      input: [
        {
          role: 'user',
          content: [
            'one {{sample.output_text}}',
            { type: 'input_text', text: 'two' },
            { type: 'input_image', image_url: '{{item.url}}', detail: 'low' },
            { type: 'input_audio', input_audio: { data: 'AAAA', format: 'wav' } },
          ],
        },
        { role: 'assistant', content: { type: 'output_text', text: 'three' } },
      ],
    };
    const { server, grader } = await asking(() => judgement(5), definition);
    expect(grader.config).toEqual(definition);
    expect(await grader.grade(sample, { url: 'https://x/y.png' })).toMatchObject({ reward: 3 });
    const { body } = server.calls[0]!;
    expect(body).toMatchObject({
      seed: 7,
      top_p: 0.9,
      temperature: 0,
      max_completion_tokens: 99,
      reasoning_effort: 'low',
    });
    expect(body).not.toHaveProperty('max_completions_tokens');
    expect(body.messages).toEqual([
      { role: 'system', content: expect.stringContaining('from -1 to 3') },
      {
        role: 'user',
        content: [
          { type: 'text', text: 'one 4' },
          { type: 'text', text: 'two' },
          { type: 'image_url', image_url: { url: 'https://x/y.png', detail: 'low' } },
          { type: 'input_audio', input_audio: { data: 'AAAA', format: 'wav' } },
        ],
      },
      { role: 'assistant', content: 'three' },
    ]);
  });

  it.each([
    ['{"steps": [], "result": 0.5}', 0.5],
    ['{"steps": [{"description": "a", "conclusion": "b"}], "result": "0.5"}', 0.5],
    ['```json\n{"steps": [{"description": "{", "conclusion": "}"}], "result": 1e-1}\n```', 0.1],
    ['<think>{"result": 0}</think> I find {"a": {"b": 1}}. {"result": 0.25}', 0.25],
    [' 0.5\n', 0.5],
    ['<think>so so</think>\n0.5', 0.5],
    ['{"result": -3}', 0],
    ['{"result": 1e9}', 1],
  ])('reads %j as %d', async (reply, reward) => {
    const { grader } = await asking(() => completion(reply));
    expect(await grader.grade(sample, item)).toMatchObject({ reward });
  });

  it.each([
    ['{"steps": [], "result": null}'],
    ['{"steps": [], "result": true}'],
    ['{"steps": [], "result": ""}'],
    ['{"steps": [], "result": [1]}'],
    ['{"steps": []}'],
    ['good'],
    [''],
    [`${'{'.repeat(50_000)}`],
  ])('says that %s is no judgement', async (reply) => {
    const { grader, server } = await asking(() => completion(reply));
    await expect(grader.grade(sample, item)).rejects.toMatchObject({ kind: 'model_grader_parse_error' });
    expect(server.calls).toHaveLength(1);
  });

  it('tells refusals and cut answers from others', async () => {
    const cases: [JudgeAnswer, string][] = [
      [completion(null, { refusal: 'I will not.' }), 'model_grader_refusal_error'],
      [completion('', {}, 'content_filter'), 'model_grader_refusal_error'],
      [completion('{"steps": [', {}, 'length'), 'model_grader_parse_error'],
      [{ body: 'not json' }, 'model_grader_server_error'],
      [{ body: { choices: [] } }, 'model_grader_server_error'],
      [{ body: 'null' }, 'model_grader_server_error'],
    ];
    for (const [answer, kind] of cases) {
      const { grader } = await asking(() => answer);
      await expect(grader.grade(sample, item)).rejects.toMatchObject({ kind });
    }
  });

  it('asks again when the server is busy or broken', async () => {
    const { grader, server } = await asking((_, n) => {
      if (n === 1) return { status: 429, headers: { 'retry-after-ms': '1' }, body: { error: {} } };
      if (n === 2) return { status: 503, headers: { 'retry-after': '0' }, body: 'busy' };
      return n === 3 ? { status: 500, body: '' } : judgement(1);
    });
    expect(await grader.grade(sample, item)).toMatchObject({ reward: 1 });
    expect(server.calls).toHaveLength(4);
  });

  it('gives up in the end, and says what it was told', async () => {
    const { grader, server } = await asking(() => ({ status: 500, body: 'out of memory' }));
    await expect(grader.grade(sample, item)).rejects.toMatchObject({
      kind: 'model_grader_server_error',
      reason: 'http_500',
      details: 'out of memory',
    });
    expect(server.calls).toHaveLength(5);
  });

  it('does not ask again where that is of no use', async () => {
    const denied = await asking(() => ({ status: 401, body: { error: { message: 'bad key' } } }));
    await expect(denied.grader.grade(sample, item)).rejects.toMatchObject({
      reason: 'http_401',
      message: expect.stringContaining('bad key'),
    });
    expect(denied.server.calls).toHaveLength(1);
    const patient = await asking(() => ({ status: 429, headers: { 'retry-after': '3600' }, body: '' }));
    await expect(patient.grader.grade(sample, item)).rejects.toMatchObject({ reason: 'http_429' });
    expect(patient.server.calls).toHaveLength(1);
  });

  it('notices servers that are silent or gone', async () => {
    const silent = await asking(() => null, scoreModel, { timeoutMs: 20 });
    await expect(silent.grader.grade(sample, item)).rejects.toMatchObject({
      kind: 'model_grader_server_error',
      reason: 'timeout',
    });
    const gone = await start(() => null);
    await gone.close();
    const grader = compileGrader(scoreModel, { judge: { baseUrl: gone.baseUrl, retryDelayMs: 1 } });
    await expect(grader.grade(sample, item)).rejects.toMatchObject({
      kind: 'model_grader_server_error',
      reason: 'unreachable',
      message: expect.stringContaining('ECONNREFUSED'),
    });
  });

  it('stops when nobody waits any more', async () => {
    const { grader } = await asking(() => null);
    const abort = new AbortController();
    const grade = grader.grade(sample, item, { signal: abort.signal });
    setTimeout(() => abort.abort(), 20);
    await expect(grade).rejects.toMatchObject({ kind: 'model_grader_server_error' });
  });

  it('does without schemas where the server knows none, and remembers', async () => {
    const { grader, server } = await asking(({ body }) =>
      body.response_format ? { status: 400, body: 'response_format is not supported' } : judgement(0.5),
    );
    expect(await grader.grade(sample, item)).toMatchObject({ reward: 0.5 });
    expect(await grader.grade(sample, item)).toMatchObject({ reward: 0.5 });
    expect(server.calls.map(({ body }) => body.response_format !== undefined)).toEqual([true, false, false]);
  });

  it('asks a few at a time', async () => {
    const { grader, server } = await asking(() => judgement(1), scoreModel, { concurrency: 3 });
    await Promise.all(Array.from({ length: 20 }, () => grader.grade(sample, item)));
    expect(server.calls).toHaveLength(20);
    expect(server.mostAtOnce).toBeLessThanOrEqual(3);
  });

  it('adds up what a multi grader asked', async () => {
    const server = await start(() => judgement(0.5));
    const definition = {
      type: 'multi',
      name: 'two',
      graders: { a: scoreModel, b: { ...scoreModel, range: [0, 0.25] } },
      calculate_output: 'a + b',
    };
    const grader = compileGrader(definition, { judge: { baseUrl: server.baseUrl } });
    expect(await grader.grade(sample, item)).toMatchObject({
      reward: 0.75,
      usage: { 'gpt-4.1': { prompt_tokens: 20, total_tokens: 30 } },
    });
  });
});

describe('label_model', () => {
  it.each([
    ['right', 1],
    ['unsure', 1],
    ['Wrong', 0],
    ['wrong ', 0],
    ['RIGHT', 1],
  ])('%s earns %i', async (label, reward) => {
    const { grader, server } = await asking(() => judgement(label), labelModel);
    expect(await grader.grade(sample, item)).toMatchObject({ reward });
    const { schema } = server.calls[0]!.body.response_format!.json_schema;
    expect(schema.properties.result).toEqual({ type: 'string', enum: labelModel.labels });
  });

  it('takes a bare label, and nothing that is none', async () => {
    const bare = await asking(() => completion(' "right"\n'), labelModel);
    expect(await bare.grader.grade(sample, item)).toMatchObject({ reward: 1 });
    const { grader } = await asking((_, n) => judgement([1, 'left', null][n - 1]), labelModel);
    for (let i = 0; i < 3; i++) {
      await expect(grader.grade(sample, item)).rejects.toMatchObject({ kind: 'model_grader_parse_error' });
    }
  });
});

describe('definitions of model graders', () => {
  const judge = { baseUrl: 'http://127.0.0.1:1/v1' };
  const part = (content: unknown) => ({ ...scoreModel, input: [{ role: 'user', content }] });

  it.each([
    [{ ...scoreModel, input: 'x' }, 'grader.input', 'array of at least one message'],
    [{ ...scoreModel, input: [] }, 'grader.input', 'array of at least one message'],
    [{ ...scoreModel, input: ['x'] }, 'grader.input[0]', 'not a string'],
    [{ ...scoreModel, input: [{ role: 'tool', content: 'x' }] }, 'grader.input[0].role', 'system, developer'],
    [part(undefined), 'grader.input[0].content', 'must be an object'],
    [part([]), 'grader.input[0].content', 'at least one block'],
    [part([{ type: 'text', text: 'x' }]), 'grader.input[0].content[0].type', 'input_text'],
    [part(['x', { type: 'input_text' }]), 'grader.input[0].content[1].text', 'Missing'],
    [part({ type: 'input_image', image_url: 3 }), 'grader.input[0].content.image_url', 'a string'],
    [part('{{x}}'), 'grader.input[0].content', 'Unknown namespace'],
    [{ ...scoreModel, model: '' }, 'grader.model', 'empty'],
    [{ ...scoreModel, range: [1, 0] }, 'grader.range', 'the lower first'],
    [{ ...scoreModel, range: [0, '1'] }, 'grader.range', 'two numbers'],
    [
      { ...scoreModel, sampling_params: { max_completion_tokens: 3 } },
      'grader.sampling_params.max_completion_tokens',
      "'max_completions_tokens'",
    ],
    [{ ...scoreModel, sampling_params: { top_k: 3 } }, 'grader.sampling_params.top_k', 'Unknown field'],
    [
      { ...scoreModel, sampling_params: { temperature: 3 } },
      'grader.sampling_params.temperature',
      'a number of at least 0 and of at most 2, not 3',
    ],
    [{ ...scoreModel, sampling_params: { seed: 1.5 } }, 'grader.sampling_params.seed', 'an integer, not 1.5'],
    [{ ...labelModel, labels: [] }, 'grader.labels', 'at least one'],
    [{ ...labelModel, labels: ['a', 'a'] }, 'grader.labels', 'each once'],
    [{ ...labelModel, passing_labels: ['left'] }, 'grader.passing_labels', "'left' is not among the labels"],
    [{ ...labelModel, range: [0, 1] }, 'grader.range', 'Unknown field'],
  ])('%j is refused at %s', (definition, param, message) => {
    const attempt = (): unknown => compileGrader(definition, { judge });
    expect(attempt).toThrow(GraderConfigError);
    expect(attempt).toThrow(expect.objectContaining({ param, message: expect.stringContaining(message) }));
  });

  it('says how to set a judge up where there is none', () => {
    expect(() => compileGrader(scoreModel)).toThrow(
      expect.objectContaining({ param: 'grader.type', message: expect.stringContaining('POLYMODE_JUDGE_BASE_URL') }),
    );
  });

  it('count the text as the answer', () => {
    const grader = compileGrader(labelModel, { judge });
    expect(compileOutcome(undefined, grader).config).toEqual({ type: 'text' });
  });

  it('checks what the messages read from rows', () => {
    expect(compileGrader(scoreModel, { judge }).checkItem({})).toEqual([
      { path: 'item.truth', message: expect.any(String) },
    ]);
  });
});
