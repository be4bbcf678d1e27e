import { presentMessage, presentTools } from '@polymode/policy';
import { describe, expect, it } from 'vitest';

const called = { name: 'add', arguments: '{}' };
const tool_calls = [{ id: 'call_1', type: 'function', function: called }];

describe('messages', () => {
  it.each([
    [
      { role: 'developer', content: 'Be kind.', name: null },
      { role: 'system', content: 'Be kind.' },
    ],
    [
      { role: 'user', content: [{ type: 'text', text: 'Hi' }], name: 'ann' },
      { role: 'user', content: [{ type: 'text', text: 'Hi' }], name: 'ann' },
    ],
    [
      { role: 'assistant', content: null, refusal: null, tool_calls, function_call: null },
      { role: 'assistant', content: '', tool_calls },
    ],
    [
      { role: 'tool', tool_call_id: 'call_1', content: '3' },
      { role: 'tool', tool_call_id: 'call_1', content: '3' },
    ],
    [
      { role: 'assistant', content: 'Well.', tool_calls: [] },
      { role: 'assistant', content: 'Well.' },
    ],
    [
      { role: 'assistant', function_call: called },
      { role: 'assistant', content: '', tool_calls: [{ type: 'function', function: called }] },
    ],
    [
      { role: 'function', name: 'add', content: null },
      { role: 'tool', name: 'add', content: '' },
    ],
    [
      { role: 'assistant', refusal: 'No.' },
      { role: 'assistant', content: 'No.' },
    ],
  ])('%j are shown to templates in terms that they know', (message, shown) => {
    expect(presentMessage(message)).toEqual(shown);
  });
});

it('functions are tools', () => {
  const add = { name: 'add', parameters: { type: 'object' } };
  expect(presentTools({ functions: [add] })).toEqual([{ type: 'function', function: add }]);
  expect(presentTools({ tools: [1], functions: null })).toEqual([1]);
  expect(presentTools({ tools: null })).toBeUndefined();
});
