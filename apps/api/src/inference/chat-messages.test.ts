import { expect, it } from 'vitest';
import { messagesForTemplate } from './chat-messages.js';

it('shows templates what they know', () => {
  const call = { name: 'add', arguments: '{}' };
  const tool_calls = [{ id: 'call_1', type: 'function' as const, function: call }];
  expect(
    messagesForTemplate([
      { role: 'developer', content: 'Be kind.', name: null },
      { role: 'user', content: [{ type: 'text', text: 'Hi' }], name: 'ann' },
      { role: 'assistant', content: null, refusal: null, tool_calls, function_call: null },
      { role: 'tool', tool_call_id: 'call_1', content: '3' },
      { role: 'assistant', content: 'Well.', tool_calls: [] },
      { role: 'assistant', content: null, function_call: call },
      { role: 'function', name: 'add', content: null },
      { role: 'assistant', refusal: 'No.' },
      { role: 'assistant', content: [{ type: 'refusal', refusal: 'Never.' }] },
    ]),
  ).toEqual([
    { role: 'developer', content: 'Be kind.' },
    { role: 'user', content: [{ type: 'text', text: 'Hi' }], name: 'ann' },
    { role: 'assistant', content: '', tool_calls },
    { role: 'tool', tool_call_id: 'call_1', content: '3' },
    { role: 'assistant', content: 'Well.' },
    { role: 'assistant', content: '', tool_calls: [{ type: 'function', function: call }] },
    { role: 'tool', name: 'add', content: '' },
    { role: 'assistant', content: 'No.' },
    { role: 'assistant', content: [{ type: 'text', text: 'Never.' }] },
  ]);
});
