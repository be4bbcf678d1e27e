import { compileGrader, sampleOf } from '@polymode/verifiers';
import { describe, expect, it } from 'vitest';

const call = (name: string, given: object) =>
  `<tool_call>\n${JSON.stringify({ name, arguments: given })}\n</tool_call>`;

describe('sampleOf', () => {
  it('has the JSON of an answer that is some, within reason', () => {
    expect(sampleOf(' {"a": [1]}\n').output_json).toEqual({ a: [1] });
    expect(sampleOf('null')).toHaveProperty('output_json', null);
    expect(sampleOf('{"a": 1} or so')).not.toHaveProperty('output_json');
    expect(sampleOf(`${'['.repeat(400)}1${']'.repeat(400)}`)).toHaveProperty('output_json');
    expect(sampleOf(`${'['.repeat(2000)}1${']'.repeat(2000)}`)).not.toHaveProperty('output_json');
  });

  it('has the tool calls of an answer, as chat completions have them', () => {
    const text = `Let me see.\n${call('find', { q: 'x</tool' })}\n${call('open', {})} Done.`;
    const calls = [
      { id: 'call_0', type: 'function', function: { name: 'find', arguments: '{"q":"x</tool"}' } },
      { id: 'call_1', type: 'function', function: { name: 'open', arguments: '{}' } },
    ];
    expect(sampleOf(text, 'length')).toEqual({
      output_text: text,
      output_tools: calls,
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content: 'Let me see.\n\n Done.', tool_calls: calls },
          finish_reason: 'length',
        },
      ],
    });
    expect(sampleOf(text).choices).toMatchObject([{ finish_reason: 'tool_calls' }]);
  });

  it.each([
    'plain',
    '<tool_call>{"name": "find"',
    '<tool_call>find(x)</tool_call>',
    '<tool_call>{"arguments": {}}</tool_call>',
    '<tool_call>{"name": "find", "arguments": 3}</tool_call>',
    '<tool_call>null</tool_call>',
  ])('finds no tool call in %j', (text) => {
    const message = { role: 'assistant', content: text };
    expect(sampleOf(text)).toMatchObject({ output_tools: [], choices: [{ message, finish_reason: 'stop' }] });
  });

  it('is what templates read', async () => {
    const grader = compileGrader({
      type: 'string_check',
      name: 'n',
      input: '{{sample.output_tools[0].function.name}} {{sample.choices[0].message.tool_calls[0].id}}',
      reference: 'find call_0',
      operation: 'eq',
    });
    expect(await grader.grade(sampleOf(call('find', {})), {})).toEqual({ reward: 1 });
    expect(await grader.grade(sampleOf('find'), {})).toMatchObject({
      reward: 0,
      unreadable: { kind: 'invalid_variable_error' },
    });
  });
});
