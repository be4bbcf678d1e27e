import { describe, expect, it } from 'vitest';
import { tokenFinder } from './special-tokens.js';
import { preferenceRows, type Row, reinforcementRows, supervisedRows } from './training-rows.js';

const anyItem = { checkItem: () => [] };
const called = { name: 'add', arguments: '{}' };
const user = { role: 'user', content: 'hi' };
const find = tokenFinder(['<|end|>', '<|end|>2', '</s>', '$^']);
const problems = (messages: unknown, more: object = {}) => reinforcementRows(anyItem)({ messages, ...more }, find);
const supervised = (row: Row) => supervisedRows(row, find);
const preference = (row: Row) => preferenceRows(row, find);

describe('rows of reinforcement', () => {
  it.each([
    [[user]],
    [[{ role: 'system', content: 's' }, { role: 'developer', content: 'd' }, user]],
    [[{ role: 'user', content: [{ type: 'text', text: 'hi' }], name: 'ann' }]],
    [
      [
        user,
        { role: 'assistant', content: null, tool_calls: [{ id: 'c1', type: 'function', function: called }] },
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
    [[user, { role: 'function', name: 'add', content: '4' }, user], /answers no earlier 'function_call'/],
    [[{ ...user, tool_calls: [] }], /of role 'user' with 'tool_calls', which are an assistant's/],
    [[{ ...user, function_call: called }], /of role 'user' with a 'function_call'/],
    [
      [user, { role: 'assistant', tool_calls: [{ id: 'c1', type: 'function', function: {} }] }, user],
      /tool_calls\[0\] that is not/,
    ],
    [[user, { role: 'assistant', function_call: { name: 'add' } }, user], /'function_call' that is not/],
    [[user, { role: 'assistant', content: '' }, user], /messages\[1\] with empty 'content'/],
    [[{ ...user, content: 'a <|end|>' }], /^has messages\[0\] that contains an invalid token: <\|end\|>$/],
    [[{ ...user, content: [{ type: 'text', text: '<|end|>2' }] }], /invalid token: <\|end\|>2$/],
    [[{ ...user, name: '$^' }], /invalid token: \$\^$/],
    [[user, { role: 'assistant', content: 'hello' }], /^ends with a message of role 'assistant'/],
  ])('refuses messages %j', (messages, says) => {
    expect(problems(messages)).toEqual([expect.stringMatching(says)]);
  });

  it('reports every problem of a row, the grader’s too', () => {
    const grader = { checkItem: () => [{ path: 'item.top', message: 'must be bits.' }] };
    expect(reinforcementRows(grader)({ messages: [{ role: 'user' }, 3], tools: {} }, find)).toEqual([
      expect.stringContaining("messages[0] without 'content'"),
      expect.stringContaining('messages[1] that is not an object'),
      expect.stringContaining("'tools'"),
      'cannot be graded: item.top: must be bits',
    ]);
  });

  it('are the item as a whole, as graders see it', () => {
    let seen: unknown;
    const grader = {
      checkItem: (item: object) => {
        seen = item;
        return [];
      },
    };
    const row = { messages: [user], tools: [], answer: 4 };
    reinforcementRows(grader)(row, find);
    expect(seen).toEqual(row);
  });
});

const answer = { role: 'assistant', content: 'hello' };

describe('rows of supervision', () => {
  it.each([
    [{ messages: [user, answer] }],
    [
      {
        messages: [user, { ...answer, weight: 0 }, user, { ...answer, weight: 1 }],
        tools: [],
        parallel_tool_calls: true,
      },
    ],
    [{ prompt: 'a', completion: 'b' }],
    [{ prompt: '', completion: 'b' }],
    [
      {
        messages: [
          user,
          { role: 'assistant', content: null, function_call: called },
          { role: 'function', name: 'add', content: null },
          answer,
        ],
        functions: [{ name: 'add' }],
      },
    ],
    [
      {
        messages: [
          user,
          { role: 'assistant', content: '', tool_calls: [{ id: 'c', type: 'function', function: called }] },
        ],
      },
    ],
    [{ messages: [user, { role: 'assistant', content: null, refusal: 'No.', weight: null }], tools: null }],
  ])('accepts %j', (row) => {
    expect(supervised(row)).toEqual([]);
  });

  it.each<[Record<string, unknown>, RegExp]>([
    [{}, /^has no 'messages'; expected a list of chat messages$/],
    [{ messages: [user] }, /^has no message of role 'assistant' to learn from/],
    [{ messages: [user, { ...answer, weight: 0 }] }, /^has no message of role 'assistant' to learn from/],
    [{ messages: [user, { ...answer, weight: 0.5 }] }, /messages\[1\] with weight 0.5; expected 0 or 1/],
    [{ messages: [user, answer], label: 1 }, /^has unknown key 'label'/],
    [{ messages: [user, answer], tools: 'all' }, /'tools' that are not a list/],
    [{ messages: [user, answer], tools: [{ type: 'function', function: {} }] }, /^has tools\[0\] that is not/],
    [{ messages: [user, answer], functions: [] }, /^has empty 'functions'/],
    [{ messages: [user, answer], functions: [{ name: '' }] }, /^has functions\[0\] that is not/],
    [{ messages: [user, answer], functions: Array(129).fill({ name: 'a' }) }, /^has 129 'functions'; at most 128/],
    [{ messages: [user, answer], functions: [{ name: 'a' }], tools: [] }, /which mean the same/],
    [
      { messages: [user, answer], tools: [{ type: 'function', function: { name: '</s>' } }] },
      /^has 'tools' that contain an invalid token/,
    ],
    [{ messages: [user, answer], parallel_tool_calls: 1 }, /neither true nor false/],
    [
      { messages: [user, { role: 'assistant', function_call: { name: 'add', arguments: '{"a": "</s>"}' } }] },
      /^has messages\[1\] that contains an invalid token: <\/s>$/,
    ],
    [{ prompt: 'a <|end|>', completion: 'b' }, /^has a 'prompt' that contains an invalid token: <\|end\|>$/],
    [{ prompt: 'a', completion: '<|end|>' }, /^has a 'completion' that contains an invalid token/],
    [{ prompt: 'a' }, /^has no 'completion' that is a text/],
    [{ prompt: 3, completion: 'b' }, /^has no 'prompt' that is a string/],
    [{ prompt: 'a', completion: 'b', weight: 1 }, /^has unknown key 'weight'/],
  ])('refuses %j', (row, says) => {
    expect(supervised(row)).toEqual([expect.stringMatching(says)]);
  });
});

describe('rows of preference', () => {
  const row = { input: { messages: [user] }, preferred_output: [answer], non_preferred_output: [answer] };

  it('accepts two answers to a conversation', () => {
    expect(preference(row)).toEqual([]);
    expect(preference({ ...row, input: { messages: [user, answer, user], tools: [] } })).toEqual([]);
  });

  it.each<[Record<string, unknown>, RegExp]>([
    [{ ...row, input: undefined }, /^has no 'input' with the conversation's 'messages'/],
    [{ ...row, input: { messages: [] } }, /^has empty 'messages'/],
    [{ ...row, preferred_output: [] }, /^has no 'preferred_output' that is a list of one message/],
    [{ ...row, non_preferred_output: [answer, answer] }, /^has no 'non_preferred_output' that is a list of one/],
    [{ ...row, preferred_output: [user] }, /preferred_output\[0\] of role 'user'; expected 'assistant'/],
    [{ ...row, preferred_output: [{ role: 'assistant' }] }, /preferred_output\[0\] without 'content'/],
    [
      { ...row, preferred_output: [{ ...answer, content: '</s>' }] },
      /^has preferred_output\[0\] that contains an invalid/,
    ],
    [{ ...row, margin: 2 }, /^has unknown key 'margin'/],
  ])('refuses %j', (one, says) => {
    expect(preference(one)).toEqual([expect.stringMatching(says)]);
  });
});
