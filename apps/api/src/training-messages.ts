/** What is wrong with the messages and tools of a row of a training file, each to follow the words "Line 3". */
import type { TokenFinder } from './special-tokens.js';

const ROLES = ['system', 'developer', 'user', 'assistant', 'tool', 'function'];
const MESSAGE_KEYS = ['role', 'content', 'refusal', 'name', 'tool_calls', 'tool_call_id', 'function_call', 'weight'];

/** @param last role that the last message must have; null for any */
export function conversationProblems(messages: unknown, last: string | null, find: TokenFinder): string[] {
  const wanted = last === null ? '' : ` that ends with the ${last}'s`;
  if (messages === undefined) return [`has no 'messages'; expected a list of chat messages${wanted}`];
  if (!Array.isArray(messages)) return ["has 'messages' that are not a list"];
  if (messages.length === 0) return ["has empty 'messages'; expected at least one user message"];
  const problems: string[] = [];
  const made = new Calls();
  for (const [index, message] of messages.entries()) {
    for (const problem of messageProblems(message, made, find)) problems.push(`has messages[${index}] ${problem}`);
  }
  const end: unknown = messages.at(-1);
  if (last !== null && problems.length === 0 && isObject(end) && end.role !== last) {
    problems.push(`ends with a message of role '${end.role}'; the last message must be from '${last}'`);
  }
  return problems;
}

/** What the messages so far have called, which results answer. */
export class Calls {
  readonly ids = new Set<unknown>();
  readonly functions = new Set<unknown>();
}

/** @param made calls of the messages before; this one's are added */
export function messageProblems(message: unknown, made: Calls, find: TokenFinder): string[] {
  if (!isObject(message)) return ['that is not an object'];
  const { role, weight } = message;
  if (role === undefined) return ["without a 'role'"];
  if (typeof role !== 'string' || !ROLES.includes(role)) {
    return [`with role ${JSON.stringify(role)}; expected one of ${ROLES.join(', ')}`];
  }
  const problems = Object.keys(message)
    .filter((key) => !MESSAGE_KEYS.includes(key))
    .map((key) => `with unknown key '${key}'; expected ${MESSAGE_KEYS.join(', ')}`);
  if (weight !== undefined && weight !== null && weight !== 0 && weight !== 1) {
    problems.push(`with weight ${JSON.stringify(weight)}; expected 0 or 1`);
  }
  problems.push(...callProblems(message, made), ...contentProblems(message));
  const token = [...textsOf(message)].map(find).find((found) => found !== null);
  if (token) problems.push(`that contains an invalid token: ${token}`);
  return problems;
}

function callProblems({ role, name, tool_calls, tool_call_id, function_call }: Message, made: Calls): string[] {
  const problems: string[] = [];
  if (tool_calls !== undefined && tool_calls !== null) {
    if (role !== 'assistant') problems.push(`of role '${role}' with 'tool_calls', which are an assistant's`);
    if (!Array.isArray(tool_calls)) problems.push("with 'tool_calls' that are not a list");
  }
  for (const [index, call] of listOf(tool_calls).entries()) {
    const wrong =
      !isObject(call) || typeof call.id !== 'string' || call.type !== 'function' || !isCall(call.function)
        ? `with tool_calls[${index}] that is not {"id", "type": "function", "function": {"name", "arguments"}}, all texts`
        : null;
    if (wrong) problems.push(wrong);
    else made.ids.add((call as { id: string }).id);
  }
  if (function_call !== undefined && function_call !== null) {
    if (role !== 'assistant') problems.push(`of role '${role}' with a 'function_call', which is an assistant's`);
    if (isCall(function_call)) made.functions.add(function_call.name);
    else problems.push(`with a 'function_call' that is not {"name", "arguments"}, both texts`);
  }
  if (role === 'tool' && !made.ids.has(tool_call_id)) {
    problems.push("of role 'tool' whose 'tool_call_id' answers no earlier call");
  }
  if (role === 'function' && !made.functions.has(name)) {
    problems.push("of role 'function' whose 'name' answers no earlier 'function_call'");
  }
  return problems;
}

function contentProblems({ role, content, refusal, tool_calls, function_call }: Message): string[] {
  // What a call came to may be nothing, and a model may call without a word.
  const mayBeEmpty = listOf(tool_calls).length > 0 || isObject(function_call) || role === 'tool' || role === 'function';
  if (typeof content === 'string') return content === '' && !mayBeEmpty ? ["with empty 'content'"] : [];
  if (Array.isArray(content)) {
    if (content.length === 0) return ["with empty 'content'"];
    if (content.every((part) => isObject(part) && part.type === 'text' && typeof part.text === 'string')) return [];
    return ['with \'content\' parts that are not {"type": "text", "text": …}; only text can be trained on'];
  }
  if (content !== null && content !== undefined) return ["with 'content' that is neither text nor a list of parts"];
  return mayBeEmpty || typeof refusal === 'string' ? [] : ["without 'content'"];
}

/** Everything that the model gets to read of a message. */
function* textsOf({ content, refusal, name, tool_calls, function_call }: Message): Generator<string> {
  const parts = Array.isArray(content) ? content.map((part) => isObject(part) && part.text) : [content];
  const calls = listOf(tool_calls).map((call) => isObject(call) && call.function);
  const called = [...calls, function_call].flatMap((one) => (isObject(one) ? [one.name, one.arguments] : []));
  for (const text of [...parts, refusal, name, ...called]) if (typeof text === 'string') yield text;
}

const MOST_FUNCTIONS = 128;

/** Of `tools`, and of `functions`, which they were before. */
export function toolProblems(
  { tools, functions, parallel_tool_calls: parallel }: Message,
  find: TokenFinder,
): string[] {
  const problems: string[] = [];
  const isNamed = (one: unknown): boolean => isObject(one) && typeof one.name === 'string' && one.name !== '';
  const lists: [name: string, list: unknown, isOne: (one: unknown) => boolean, form: string][] = [
    ['tools', tools, (one) => isObject(one) && one.type === 'function' && isNamed(one.function), TOOL],
    ['functions', functions, isNamed, FUNCTION],
  ];
  for (const [name, list, isOne, form] of lists) {
    if (list === undefined || list === null) continue;
    if (!Array.isArray(list)) {
      problems.push(`has '${name}' that are not a list`);
      continue;
    }
    if (list.length > MOST_FUNCTIONS)
      problems.push(`has ${list.length} '${name}'; at most ${MOST_FUNCTIONS} are allowed`);
    if (name === 'functions' && list.length === 0) problems.push(`has empty 'functions'; leave them out instead`);
    const wrong = list.findIndex((one) => !isOne(one));
    if (wrong >= 0) problems.push(`has ${name}[${wrong}] that is not ${form}`);
    const token = find(JSON.stringify(list));
    if (token !== null) problems.push(`has '${name}' that contain an invalid token: ${token}`);
  }
  if (parallel !== undefined && parallel !== null && typeof parallel !== 'boolean') {
    problems.push("has 'parallel_tool_calls' that is neither true nor false");
  }
  return problems;
}

const TOOL = '{"type": "function", "function": {"name", …}}';
const FUNCTION = '{"name", …}';

type Message = Record<string, unknown>;

function isCall(value: unknown): value is { name: string; arguments: string } {
  return isObject(value) && typeof value.name === 'string' && value.name !== '' && typeof value.arguments === 'string';
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
