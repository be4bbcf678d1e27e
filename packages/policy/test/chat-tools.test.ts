import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ChatMessage, compileToolConstraint, loadTokenizer, type Tokenizer } from '@polymode/policy';
import { findBaseModel } from '@polymode/policy/registry';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const SHIPPED = findBaseModel('polymode-tiny')!.dir;

/** Roles in brackets. */
const PLAIN =
  '{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}';
const NO_SYSTEM = `{% if messages[0].role == 'system' %}{{ raise_exception('no system here') }}{% endif %}${PLAIN}`;
const LISTS_TOOLS = `{% for t in tools or [] %}({{ t.function.name }}){% endfor %}{% if tools %} in <tool_call>:{% endif %}${PLAIN}`;
const KNOWS_ALL = `{% for t in tools or [] %}({{ t.function.name }}){% endfor %}{% if tools %} in <tool_call>:{% endif %}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% for c in m.tool_calls or [] %}<tool_call>{{ c.function.name }}={{ c.function.arguments | tojson }}{% endfor %}{% endfor %}`;

let scratch: string;
let tiny: Tokenizer;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'polymode-chat-tools-'));
  tiny = await loadTokenizer(SHIPPED);
});
afterAll(() => rm(scratch, { recursive: true }));

let variants = 0;
async function withTemplate(template: string): Promise<Tokenizer> {
  const dir = join(scratch, `${variants++}`);
  for (const file of ['tokenizer.json', 'tokenizer_config.json']) await cp(join(SHIPPED, file), join(dir, file));
  await writeFile(join(dir, 'chat_template.jinja'), template);
  return loadTokenizer(dir);
}

const add = {
  type: 'function',
  function: { name: 'add', parameters: { type: 'object', properties: { a: { type: 'integer' } }, required: ['a'] } },
};
const clock = { type: 'function', function: { name: 'clock', description: 'The time, "now".' } };
const tools = [add, clock];
const call = (name: string, given: unknown) => ({
  id: 'call_1',
  type: 'function',
  function: { name, arguments: given },
});
const question: ChatMessage = { role: 'user', content: 'How much?' };
const told = (tokenizer: Tokenizer, messages: readonly ChatMessage[], given: readonly unknown[] = tools) =>
  tokenizer.decode(tokenizer.encodeChat(messages, { tools: given }));

describe('tools, with a template that has no place for them', () => {
  it('are listed in a system message, each as it was given', async () => {
    const plain = await withTemplate(PLAIN);
    const text = told(plain, [question]);
    const [, listed] = /^\[system\].*<tools>\n(.*)\n<\/tools>.*\[user\]How much\?\[assistant\]$/s.exec(text)!;
    expect(listed!.split('\n').map((line) => JSON.parse(line))).toEqual(tools);
    expect(text).toContain('<tool_call>');
    // The shipped model's template knows no more than this one.
    expect(told(tiny, [question])).toContain(`<tools>\n${listed}\n</tools>`);
  });

  it('stand after what the system says anyway', async () => {
    const text = told(await withTemplate(PLAIN), [
      { role: 'system', content: [{ type: 'text', text: 'Be brief.' }] },
      question,
    ]);
    expect(text).toMatch(/^\[system\]Be brief\.\n\n.*<tools>/s);
    expect(text.match(/\[system\]/g)).toHaveLength(1);
  });

  it('stand in the user’s first message where there is no system', async () => {
    const text = told(await withTemplate(NO_SYSTEM), [question, { role: 'assistant', content: 'Of what?' }, question]);
    expect(text).toMatch(/^\[user\].*<tools>.*\n\nHow much\?\[assistant\]Of what\?\[user\]How much\?\[assistant\]$/s);
  });

  it('are not spoken of where there are none', async () => {
    const plain = await withTemplate(PLAIN);
    expect(told(plain, [question], [])).toBe('[user]How much?[assistant]');
    expect(plain.encodeChat([question])).toEqual(plain.encodeChat([question], { tools: [] }));
  });
});

describe('calls and results, with a template that has no place for them', () => {
  const conversation: ChatMessage[] = [
    question,
    { role: 'assistant', content: 'Let me see.', tool_calls: [call('add', '{"a": 1}'), call('clock', '{}')] },
    { role: 'tool', tool_call_id: 'call_1', content: '3' },
    { role: 'tool', tool_call_id: 'call_1', content: [{ type: 'text', text: 'noon' }] },
    { role: 'assistant', content: 'Three at noon.' },
  ];

  it('are text, results that follow each other one message', async () => {
    const expected =
      '[user]How much?[assistant]Let me see.\n<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>\n' +
      '<tool_call>\n{"name": "clock", "arguments": {}}\n</tool_call>[user]<tool_response>\n3\n</tool_response>\n' +
      '<tool_response>\nnoon\n</tool_response>[assistant]Three at noon.[assistant]';
    expect(told(await withTemplate(PLAIN), conversation, [])).toBe(expected);
    expect(told(await withTemplate(LISTS_TOOLS), conversation)).toBe(`(add)(clock) in <tool_call>:${expected}`);
  });

  it('are the same text where they are of functions, and refusals are what was said', async () => {
    const before: ChatMessage[] = [
      { role: 'developer', content: 'Add.' },
      question,
      { role: 'assistant', content: null, function_call: { name: 'add', arguments: '{"a": 1}' } },
      { role: 'function', name: 'add', content: '3' },
      { role: 'assistant', content: [{ type: 'refusal', refusal: 'No more.' }] },
    ];
    expect(told(await withTemplate(PLAIN), before, [])).toBe(
      '[system]Add.[user]How much?[assistant]<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>' +
        '[user]<tool_response>\n3\n</tool_response>[assistant]No more.[assistant]',
    );
  });

  it('are what the constraint of tool calls has a model write', () => {
    const tool = { name: 'add', parameters: add.function.parameters };
    const constraint = compileToolConstraint([tool, { name: 'clock' }], tiny);
    const before = tiny.encodeChat(conversation.slice(0, 1), { tools });
    const whole = tiny.encodeChat(conversation.slice(0, 2), { tools, generate: false });
    expect(whole.slice(0, before.length)).toEqual(before);
    const said = whole.slice(before.length, whole.lastIndexOf(tiny.stopTokens[0]!));
    expect(constraint.check(said)).toBe('complete');
  });

  it('leave what came before as it was, answer after answer, so that rows are learned in one go', () => {
    const whole = tiny.encodeChat(conversation, { tools, generate: false });
    for (const answer of [1, 4]) {
      const prompt = tiny.encodeChat(conversation.slice(0, answer), { tools });
      expect(whole.slice(0, prompt.length)).toEqual(prompt);
    }
  });
});

describe('a template that has calls written in a way of its own', () => {
  it('is given them as text, which is what is read', async () => {
    // As Llama 3's does.
    const other = KNOWS_ALL.replaceAll('<tool_call>', '').replace(
      '{{ c.function.name }}=',
      '{"name": "{{ c.function.name }}"}',
    );
    const conversation = [question, { role: 'assistant', content: '', tool_calls: [call('add', '{"a":1}')] }];
    const [own, plain] = [await withTemplate(other), await withTemplate(PLAIN)];
    expect(told(own, conversation)).toContain('<tool_call>\n{"name": "add", "arguments": {"a":1}}\n</tool_call>');
    expect(told(own, conversation)).toContain('<tools>');
    expect(told(own, conversation)).toBe(told(plain, conversation).replace(/\[assistant\]$/, ''));
  });
});

describe('a template that has places for all', () => {
  it('is given tools and calls as they are', async () => {
    const knowing = await withTemplate(KNOWS_ALL);
    const conversation = [
      question,
      { role: 'assistant', content: null, tool_calls: [call('add', '{"a":1}')] },
      { role: 'tool', tool_call_id: 'call_1', content: '3' },
    ];
    expect(told(knowing, conversation)).toMatch(
      /^\(add\)\(clock\) in <tool_call>:\[user\]How much\?\[assistant\]<tool_call>add=\{"a": ?1\}\[tool\]3$/,
    );
  });

  it('may refuse what no conversation has, such as calls with long ids, and is asked again with each conversation', async () => {
    const strict = KNOWS_ALL.replace(
      '{% for c in m.tool_calls',
      "{% if m.tool_calls and m.tool_calls[0].id | length != 9 %}{{ raise_exception('nine letters') }}{% endif %}{% for c in m.tool_calls",
    );
    const knowing = await withTemplate(strict);
    const asked = (id: string) =>
      told(knowing, [question, { role: 'assistant', content: '', tool_calls: [{ ...call('add', '{}'), id }] }]);
    expect(asked('ninechars')).toContain('add={}');
    expect(() => asked('call_1')).toThrow('nine letters');
  });
});
