import { describe, expect, it } from 'vitest';
import { rowProblems } from './training-file.js';

const anyItem = { checkItem: () => [] };
const user = { role: 'user', content: 'hi' };
const problems = (messages: unknown, more: object = {}) => rowProblems({ messages, ...more }, anyItem);

describe('rowProblems', () => {
  it.each([
    [[user]],
    [[{ role: 'system', content: 's' }, { role: 'developer', content: 'd' }, user]],
    [[{ role: 'user', content: [{ type: 'text', text: 'hi' }], name: 'ann' }]],
    [
      [
        user,
        { role: 'assistant', content: null, tool_calls: [{ id: 'c1', type: 'function', function: {} }] },
        { role: 'tool', tool_call_id: 'c1', content: '4' },
        { role: 'assistant', content: 'four', weight: 0 },
        user,
      ],
    ],
  ])('accepts %j', (messages) => {
    expect(problems(messages, { tools: [], answer: 4 })).toEqual([]);
  });

  it.each<[unknown, RegExp]>([
    [undefined, /^has no 'messages'/],
    ['hi', /^has 'messages' that are not a list/],
    [[], /^has empty 'messages'/],
    [['hi'], /messages\[0\] that is not an object/],
    [[{ content: 'hi' }], /messages\[0\] without a 'role'/],
    [[user, { role: 'bot', content: 'hi' }], /messages\[1\] with role "bot"; expected one of system/],
    [[{ role: 'user' }], /messages\[0\] without 'content'/],
    [[{ role: 'user', content: '' }], /with empty 'content'/],
    [[{ role: 'user', content: 3 }], /neither text nor a list/],
    [[{ role: 'user', content: [{ type: 'image_url' }] }], /only text can be trained on/],
    [[{ ...user, mood: 'good' }], /with unknown key 'mood'/],
    [[user, { role: 'tool', tool_call_id: 'c1', content: '4' }, user], /answers no earlier call/],
    [[user, { role: 'assistant', content: 'hello' }], /^ends with a message of role 'assistant'/],
  ])('refuses messages %j', (messages, says) => {
    expect(problems(messages)).toEqual([expect.stringMatching(says)]);
  });

  it('reports every problem of a row, the grader’s too', () => {
    const grader = { checkItem: () => [{ path: 'item.top', message: 'must be bits.' }] };
    expect(rowProblems({ messages: [{ role: 'user' }, 3], tools: {} }, grader)).toEqual([
      expect.stringContaining("messages[0] without 'content'"),
      expect.stringContaining('messages[1] that is not an object'),
      expect.stringContaining("'tools'"),
      'cannot be graded: item.top: must be bits',
    ]);
  });

  it('keeps messages and tools from the grader', () => {
    let seen: unknown;
    const grader = {
      checkItem: (item: object) => {
        seen = item;
        return [];
      },
    };
    rowProblems({ messages: [user], tools: [], answer: 4 }, grader);
    expect(seen).toEqual({ answer: 4 });
  });
});
