import { compileGrader, compileOutcome, GraderConfigError } from '@polymode/verifiers';
import { describe, expect, it } from 'vitest';

const same = (field: string, fields: object = {}) => ({
  type: 'string_check',
  name: `same ${field}`,
  operation: 'eq',
  input: `{{sample.output_json.${field}}}`,
  reference: `{{item.${field}}}`,
  ...fields,
});
const voxel = { type: 'task', name: 'stacks', task: 'hypospace/voxel' };
const multi = (graders: unknown, calculate_output: string) => ({
  type: 'multi',
  name: 'both',
  graders,
  calculate_output,
});

const answer = { output_text: '{"a": "x", "b": 2}' };

function refused(definition: unknown): GraderConfigError {
  try {
    compileGrader(definition);
  } catch (error) {
    if (error instanceof GraderConfigError) return error;
    throw error;
  }
  throw new Error('accepted');
}

describe('multi', () => {
  it('takes a map, an array by name and by type, and one grader', async () => {
    const item = { a: 'x', b: 3, grid: 2, max_height: 2, top: '1000' };
    const map = compileGrader(multi({ first: same('a'), second: same('b') }, '0.75 * first + 0.25 * second'));
    expect(await map.grade(answer, item)).toEqual({ reward: 0.75, subRewards: { first: 1, second: 0 } });

    const array = compileGrader(multi([same('a'), same('b')], 'max(same a, same b)'));
    expect(await array.grade(answer, item)).toEqual({ reward: 1, subRewards: { 'same a': 1, 'same b': 0 } });

    const byType = compileGrader(multi([same('a'), voxel], 'string_check_score - task_score / 2'));
    expect(await byType.grade(answer, item)).toMatchObject({ reward: 1, subRewards: { 'same a': 1, stacks: 0 } });

    const one = compileGrader(multi(same('a'), '2 * string_check_score'));
    expect(await one.grade(answer, item)).toEqual({ reward: 2, subRewards: { 'same a': 1 } });
  });

  it('keeps the shape that it was given, and can be made of it again', () => {
    const shapes = [{ first: same('a'), second: voxel }, [same('a'), voxel], voxel];
    for (const graders of shapes) {
      const { config } = compileGrader(multi(graders, '1'));
      expect(config).toEqual(multi(graders, '1'));
      expect(compileGrader(config).config).toEqual(config);
    }
  });

  it('counts a part that the answer is unreadable for as 0, and says so', async () => {
    const grader = compileGrader(
      multi({ json: same('a'), text: same('a', { input: '{{sample.output_text}}' }) }, 'json + text'),
    );
    expect(await grader.grade({ output_text: 'x' }, { a: 'x' })).toEqual({
      reward: 1,
      subRewards: { json: 0, text: 1 },
      unreadable: { part: 'json', kind: 'sample_parse_error', message: expect.stringContaining('not JSON') },
    });
  });

  it('fails where a part fails, and names it', async () => {
    const grader = compileGrader(multi({ json: same('a') }, 'json'));
    await expect(grader.grade(answer, {})).rejects.toMatchObject({
      kind: 'invalid_variable_error',
      message: expect.stringMatching(/^grader 'json': .*item\.a/),
    });
    expect(grader.checkItem({})).toEqual([{ path: 'item.a', message: expect.any(String) }]);
  });

  it.each(['1 / a', 'log(a)', '-log(a)', 'sqrt(a - 1)', '(a - 1) ^ 0.5', 'exp(1000)'])(
    'fails where %s has no value',
    async (formula) => {
      const grader = compileGrader(multi({ a: same('a') }, formula));
      await expect(grader.grade({ output_text: '{"a": "y"}' }, { a: 'x' })).rejects.toMatchObject({
        kind: 'formula_parse_error',
        message: expect.stringContaining('{"a":0}'),
      });
    },
  );

  it('has the outcome of the part that knows one', async () => {
    const item = { a: 'x', b: 2, grid: 2, max_height: 2, top: '1000' };
    const outcome = async (graders: object, text = answer.output_text) => {
      const grader = compileGrader(multi(graders, '1'));
      return compileOutcome(undefined, grader).of(
        { output_text: text },
        item,
        await grader.grade({ output_text: text }, item),
      );
    };
    expect(await outcome({ a: same('a'), stacks: voxel }, 'Structure:\nLayer 1:\n1 0\n0 0')).toBe('2x2:1000');
    expect(await outcome({ a: same('a'), b: same('b'), again: same('a') })).toBe('x | 2');
    expect(await outcome({ a: same('a'), text: same('a', { input: '{{sample.output_text}}' }) }, ' a  b\n')).toBe(
      'a b',
    );
  });

  it.each([
    [multi(undefined, '1'), 'grader.graders', "Missing required field 'graders'"],
    [multi('x', '1'), 'grader.graders', 'must be an object'],
    [multi({}, '1'), 'grader.graders', 'at least one'],
    [multi([], '1'), 'grader.graders', 'at least one'],
    [multi({ a: 3 }, '1'), 'grader.graders.a', 'not a number'],
    [multi([same('a'), null], '1'), 'grader.graders[1]', 'not null'],
    [multi([same('a'), same('a')], '1'), 'grader.graders[1].name', 'Two graders'],
    [multi({ email: same('a', { operation: 'neq' }) }, '1'), 'grader.graders.email.operation', "written 'ne'"],
    [multi([same('a', { input: '{{x}}' })], '1'), 'grader.graders[0].input', 'Unknown namespace'],
    [multi({ type: 'string_check', name: 'n' }, '1'), 'grader.graders.input', 'Missing'],
    [multi({ a: multi(same('a'), '1') }, 'a'), 'grader.graders.a.type', 'cannot hold another'],
    [multi({ a: same('a') }, 'a + b'), 'grader.calculate_output', "at character 4: 'b' is neither"],
    [multi([same('a'), same('b')], 'string_check_score'), 'grader.calculate_output', 'same a, same b'],
    [multi({ a: same('a') }, ' '), 'grader.calculate_output', 'empty'],
    [{ ...multi({ a: same('a') }, 'a'), pass: 1 }, 'grader.pass', 'Unknown field'],
  ])('%j is refused at %s', (definition, param, message) => {
    const error = refused(definition);
    expect(error.param).toBe(param);
    expect(error.message).toContain(message);
  });
});
