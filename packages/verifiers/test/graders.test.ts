import { compileGrader, GraderConfigError, GraderRuntimeError } from '@polymode/verifiers';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

function check(fields: Record<string, unknown> = {}) {
  return compileGrader({
    type: 'string_check',
    name: 'same',
    input: '{{ sample.output_text }}',
    reference: '{{item.answer}}',
    operation: 'eq',
    ...fields,
  });
}

describe('string_check', () => {
  it.each([
    ['eq', 'Yes', 'Yes', 1],
    ['eq', 'Yes', 'yes', 0],
    ['eq', 'Yes ', 'Yes', 0],
    ['ne', 'Yes', 'yes', 1],
    ['ne', 'Yes', 'Yes', 0],
    ['like', 'well, Yes!', 'Yes', 1],
    ['like', 'well, yes!', 'Yes', 0],
    ['like', 'Yes', 'well, Yes', 0],
    ['ilike', 'well, YES!', 'yes', 1],
    ['ilike', 'well, no!', 'yes', 0],
  ])('%s of %j and %j is %i', async (operation, text, answer, reward) => {
    expect(await check({ operation }).grade({ output_text: text }, { answer })).toEqual({ reward });
  });

  it('returns its definition and nothing else', () => {
    const grader = check();
    expect(grader.config).toEqual({
      type: 'string_check',
      name: 'same',
      input: '{{ sample.output_text }}',
      reference: '{{item.answer}}',
      operation: 'eq',
    });
    expect([grader.name, grader.type]).toEqual(['same', 'string_check']);
  });

  it('is called as its type where it has no name', () => {
    const { name: _, ...nameless } = check().config;
    for (const definition of [nameless, { ...nameless, name: null }]) {
      const grader = compileGrader(definition);
      expect([grader.name, grader.config.name]).toEqual(['string_check', 'string_check']);
    }
    const part = { ...nameless, input: 'a', reference: 'a' };
    const both = { type: 'multi', graders: [part, { ...part, name: 'b' }], calculate_output: 'string_check + b' };
    expect(compileGrader(both).name).toBe('multi');
    expect(() => compileGrader({ ...both, graders: [part, part] })).toThrow("Two graders are named 'string_check'");
  });
});

describe('templates', () => {
  it('are filled or refused, whatever is written', async () => {
    const piece = fc.constantFrom(
      '{{',
      '}}',
      '{',
      '}',
      ' ',
      '.',
      '[',
      ']',
      '0',
      'item',
      'sample',
      '.output_json',
      '.a',
      'é',
    );
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 16 }), fc.json(), async (pieces, output_text) => {
        let grader: ReturnType<typeof check>;
        try {
          grader = check({ input: pieces.join(''), reference: 'x' });
        } catch (error) {
          expect(error).toBeInstanceOf(GraderConfigError);
          expect(error).toMatchObject({ param: 'grader.input' });
          return;
        }
        const item = { a: 1 };
        const lacking = grader.checkItem(item).length > 0;
        try {
          // An answer that lacks a value may be found before the row is found to.
          const { reward, unreadable } = await grader.grade({ output_text }, item);
          expect(reward).toBe(0);
          expect(lacking && unreadable === undefined).toBe(false);
        } catch (error) {
          expect(error).toBeInstanceOf(GraderRuntimeError);
          expect(lacking).toBe(true);
        }
      }),
      { numRuns: 3000 },
    );
  });

  const item = {
    list: [{ x: 'deep' }, 2],
    flag: true,
    nothing: null,
    number: 1.5,
    object: { b: [1, 'two'] },
    'with-dash': 'd',
    text: 'a{{b}}',
    empty: '',
  };

  it.each([
    ['{{ item.list[0].x }}', 'deep'],
    ['{{item.list[1]}}', '2'],
    ['{{item.flag}}/{{ item.nothing }}/{{\titem.number }}', 'true/null/1.5'],
    ['{{item.object}}', '{"b":[1,"two"]}'],
    ['{{item.with-dash}}', 'd'],
    ['<{{item.empty}}>', '<>'],
    ['}} {', '}} {'],
    // What a variable brings in is text, not a template.
    ['{{item.text}}', 'a{{b}}'],
  ])('%s is filled with %j', async (reference, expected) => {
    expect(await check({ reference }).grade({ output_text: expected }, item)).toMatchObject({ reward: 1 });
    expect(check({ reference }).checkItem(item)).toEqual([]);
  });

  it('reads a JSON answer', async () => {
    const grader = check({ input: '{{ sample.output_json.a[1] }}', reference: '7' });
    expect(await grader.grade({ output_text: '{"a": [0, 7]}' }, {})).toMatchObject({ reward: 1 });
    // The answer is at fault, not the grader: it earns nothing.
    expect(await grader.grade({ output_text: 'seven' }, {})).toEqual({
      reward: 0,
      unreadable: { kind: 'sample_parse_error', message: expect.stringContaining('not JSON') },
    });
    expect(await grader.grade({ output_text: '{"a": []}' }, {})).toMatchObject({
      reward: 0,
      unreadable: { kind: 'invalid_variable_error' },
    });
  });

  it.each([
    '{{item.missing}}',
    '{{item.list[2]}}',
    '{{item.list.length}}',
    '{{item.number.x}}',
    '{{item.nothing.x}}',
    '{{item.constructor}}',
    '{{item.text[0]}}',
  ])('%s has no value', async (reference) => {
    const grader = check({ reference });
    expect(grader.checkItem(item)).toEqual([
      { path: reference.slice(2, -2), message: expect.stringContaining('no such') },
    ]);
    const failed = grader.grade({ output_text: '' }, item);
    await expect(failed).rejects.toThrow(GraderRuntimeError);
    await expect(failed).rejects.toMatchObject({ kind: 'invalid_variable_error' });
  });
});

describe('definitions that are refused', () => {
  const refused = (definition: unknown): GraderConfigError => {
    try {
      compileGrader(definition);
    } catch (error) {
      if (error instanceof GraderConfigError) return error;
      throw error;
    }
    throw new Error('accepted');
  };
  const stringCheck = { type: 'string_check', name: 'n', input: 'a', reference: 'b', operation: 'eq' };
  it.each([
    [null, 'grader', 'not null'],
    ['eq', 'grader', 'not a string'],
    [[stringCheck], 'grader', 'not an array'],
    [{}, 'grader.type', "Missing required field 'type'"],
    [{ type: 3 }, 'grader.type', 'not a number'],
    [
      { type: 'strings' },
      'grader.type',
      'Available types: endpoint, javascript, label_model, multi, python, score_model, string_check, task',
    ],
    [{ type: 'constructor' }, 'grader.type', 'Unknown grader type'],
    [{ ...stringCheck, name: ' ' }, 'grader.name', 'empty'],
    [{ ...stringCheck, input: 3 }, 'grader.input', 'must be a string, not a number'],
    [{ ...stringCheck, operation: 'neq' }, 'grader.operation', "written 'ne'"],
    [{ ...stringCheck, operation: 'toString' }, 'grader.operation', 'eq, ne, like, ilike'],
    [{ ...stringCheck, refrence: 'b' }, 'grader.refrence', 'Unknown field'],
    [{ ...stringCheck, input: '{{ row.x }}' }, 'grader.input', "Unknown namespace 'row'"],
    [{ ...stringCheck, input: '{{}}' }, 'grader.input', 'Unknown namespace'],
    [{ ...stringCheck, reference: '{{ item }}' }, 'grader.reference', 'names no field'],
    [{ ...stringCheck, reference: '{{ item.a b }}' }, 'grader.reference', 'not a path'],
    [{ ...stringCheck, reference: '{{ item.a[x] }}' }, 'grader.reference', 'not a path'],
    [{ ...stringCheck, reference: '{{ item..a }}' }, 'grader.reference', 'not a path'],
    [{ ...stringCheck, reference: '{{ item.a' }, 'grader.reference', 'never closes'],
    [
      { ...stringCheck, input: '{{ sample.output_image }}' },
      'grader.input',
      'sample.output_text, sample.output_json, sample.output_tools, sample.choices',
    ],
    [{ ...stringCheck, input: '{{ sample.output_text.x }}' }, 'grader.input', 'no parts'],
    [{ type: 'task' }, 'grader.task', 'Missing'],
    [{ type: 'task', task: 'hypospace/chess' }, 'grader.task', 'hypospace/boolean, hypospace/causal, hypospace/voxel'],
    [{ type: 'task', task: 'hypospace/voxel', grid: 3 }, 'grader.grid', 'Unknown field'],
  ])('%j: %s', (definition, param, message) => {
    const error = refused(definition);
    expect(error.param).toBe(param);
    expect(error.message).toContain(message);
  });
});

describe('task', () => {
  const grader = compileGrader({ type: 'task', task: 'hypospace/voxel' });
  const item = { grid: 2, max_height: 2, top: '1000' };

  it('is named after its task unless told otherwise', () => {
    expect(grader.config).toEqual({ type: 'task', name: 'hypospace/voxel', task: 'hypospace/voxel' });
    expect(compileGrader({ type: 'task', name: 'mine', task: 'hypospace/boolean' }).name).toBe('mine');
  });

  it('gives unreadable answers one outcome and no reward', async () => {
    for (const output_text of ['', 'no idea', 'Structure:\nLayer 1:\n1 0 0']) {
      expect(await grader.grade({ output_text }, item)).toEqual({ reward: 0, outcome: 'unparseable' });
    }
  });

  it.each([
    [{ ...item, grid: '2' }, 'item.grid'],
    [{ ...item, grid: 0 }, 'item.grid'],
    [{ ...item, max_height: 1.5 }, 'item.max_height'],
    [{ ...item, top: '10' }, 'item.top'],
    [{ ...item, top: '1002' }, 'item.top'],
    [{ ...item, top: ['1000'] }, 'item.top'],
    [{}, 'item.grid'],
  ])('voxel rows such as %j are refused at %s', async (bad, path) => {
    expect(grader.checkItem(bad)[0]?.path).toBe(path);
    await expect(grader.grade({ output_text: '' }, bad)).rejects.toMatchObject({ kind: 'invalid_variable_error' });
  });

  const observation = { inputs: { x: 0, y: 1 }, output: 1 };
  const boolean = { variables: ['x', 'y'], operators: ['AND'], max_depth: 1, observations: [observation] };
  it.each([
    [{ ...boolean, variables: ['x', 'x'] }, 'item.variables'],
    [{ ...boolean, variables: ['AND'] }, 'item.variables'],
    [{ ...boolean, operators: ['XOR'] }, 'item.operators'],
    [{ ...boolean, operators: [] }, 'item.operators'],
    [{ ...boolean, max_depth: -1 }, 'item.max_depth'],
    [{ ...boolean, operators: ['AND', 'OR', 'NOT', 'NOR'], max_depth: 9 }, 'item.max_depth'],
    [{ ...boolean, observations: [] }, 'item.observations'],
    [{ ...boolean, observations: [{ inputs: { x: 0 }, output: 1 }] }, 'item.observations[0].inputs'],
    [{ ...boolean, observations: [observation, { ...observation, output: true }] }, 'item.observations[1].output'],
    [{ ...boolean, observations: [null] }, 'item.observations[0]'],
  ])('boolean rows such as %j are refused at %s', (bad, path) => {
    const task = compileGrader({ type: 'task', task: 'hypospace/boolean' });
    expect(task.checkItem(boolean)).toEqual([]);
    expect(task.checkItem(bad).map((p) => p.path)).toEqual([path]);
  });
});
