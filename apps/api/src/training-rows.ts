/** What is wrong with one row of a training file, each to follow the words "Line 3". */
import type { Grader } from '@polymode/verifiers';

const ROLES = ['system', 'developer', 'user', 'assistant', 'tool'];
const MESSAGE_KEYS = ['role', 'content', 'name', 'tool_calls', 'tool_call_id', 'function_call', 'weight'];

/** `messages` that end with the user's, and every field that the grader reads. */
export function reinforcementRowProblems(row: Record<string, unknown>, grader: Pick<Grader, 'checkItem'>): string[] {
  const { messages, tools } = row;
  const problems = conversationProblems(messages, 'user');
  if (tools !== undefined && !Array.isArray(tools)) problems.push("has 'tools' that are not a list");
  for (const { path, message } of grader.checkItem(row)) {
    const said = message.replace(/\.$/, '');
    problems.push(`cannot be graded: ${said.includes(path) ? said : `${path}: ${said}`}`);
  }
  return problems;
}

const SUPERVISED_KEYS = ['messages', 'tools', 'parallel_tool_calls', 'functions'];

/** A conversation with an answer to learn, or a prompt and its completion. */
export function supervisedRowProblems(row: Record<string, unknown>): string[] {
  if ('prompt' in row || 'completion' in row) {
    return [
      ...(typeof row.prompt === 'string' ? [] : ["has no 'prompt' that is a string"]),
      ...(typeof row.completion === 'string' && row.completion !== '' ? [] : ["has no 'completion' that is a text"]),
      ...unknownKeys(row, ['prompt', 'completion']),
    ];
  }
  const { messages, tools } = row;
  const problems = [...conversationProblems(messages, null), ...unknownKeys(row, SUPERVISED_KEYS)];
  if (tools !== undefined && !Array.isArray(tools)) problems.push("has 'tools' that are not a list");
  if (problems.length > 0) return problems;
  const answers = (messages as Record<string, unknown>[]).filter((m) => m.role === 'assistant' && m.weight !== 0);
  return answers.length > 0 ? [] : ["has no message of role 'assistant' to learn from (of weight other than 0)"];
}

/** A conversation, an answer to prefer, and one to prefer it to. */
export function preferenceRowProblems(row: Record<string, unknown>): string[] {
  const { input } = row;
  const problems = unknownKeys(row, ['input', 'preferred_output', 'non_preferred_output']);
  if (isObject(input)) {
    problems.push(...conversationProblems(input.messages, null));
    if (input.tools !== undefined && !Array.isArray(input.tools)) problems.push("has 'tools' that are not a list");
  } else {
    problems.push("has no 'input' with the conversation's 'messages'");
  }
  for (const name of ['preferred_output', 'non_preferred_output']) {
    const output = row[name];
    if (!Array.isArray(output) || output.length !== 1) {
      problems.push(`has no '${name}' that is a list of one message`);
      continue;
    }
    for (const problem of messageProblems(output[0], new Set())) problems.push(`has ${name}[0] ${problem}`);
    const [answer] = output as [unknown];
    if (isObject(answer) && answer.role !== undefined && answer.role !== 'assistant') {
      problems.push(`has ${name}[0] of role '${answer.role}'; expected 'assistant'`);
    }
  }
  return problems;
}

function unknownKeys(row: Record<string, unknown>, known: readonly string[]): string[] {
  return Object.keys(row)
    .filter((key) => !known.includes(key))
    .map((key) => `has unknown key '${key}'; expected ${known.join(', ')}`);
}

/** @param last role that the last message must have; null for any */
function conversationProblems(messages: unknown, last: string | null): string[] {
  const wanted = last === null ? '' : ` that ends with the ${last}'s`;
  if (messages === undefined) return [`has no 'messages'; expected a list of chat messages${wanted}`];
  if (!Array.isArray(messages)) return ["has 'messages' that are not a list"];
  if (messages.length === 0) return ["has empty 'messages'; expected at least one user message"];
  const problems: string[] = [];
  const toolCalls = new Set<unknown>();
  for (const [index, message] of messages.entries()) {
    for (const problem of messageProblems(message, toolCalls)) problems.push(`has messages[${index}] ${problem}`);
  }
  const end: unknown = messages.at(-1);
  if (last !== null && problems.length === 0 && isObject(end) && end.role !== last) {
    problems.push(`ends with a message of role '${end.role}'; the last message must be from '${last}'`);
  }
  return problems;
}

/** @param toolCalls ids of the calls that messages so far have made; this message's are added */
function messageProblems(message: unknown, toolCalls: Set<unknown>): string[] {
  if (!isObject(message)) return ['that is not an object'];
  const { role, content } = message;
  if (role === undefined) return ["without a 'role'"];
  if (typeof role !== 'string' || !ROLES.includes(role)) {
    return [`with role ${JSON.stringify(role)}; expected one of ${ROLES.join(', ')}`];
  }
  const problems = Object.keys(message)
    .filter((key) => !MESSAGE_KEYS.includes(key))
    .map((key) => `with unknown key '${key}'; expected ${MESSAGE_KEYS.join(', ')}`);
  if (message.weight !== undefined && message.weight !== 0 && message.weight !== 1) {
    problems.push(`with weight ${JSON.stringify(message.weight)}; expected 0 or 1`);
  }
  const calls = Array.isArray(message.tool_calls) ? message.tool_calls : [];
  for (const call of calls) if (isObject(call)) toolCalls.add(call.id);
  if (role === 'tool' && !toolCalls.has(message.tool_call_id)) {
    problems.push("of role 'tool' whose 'tool_call_id' answers no earlier call");
  }
  if (typeof content === 'string') {
    if (content === '') problems.push("with empty 'content'");
  } else if (Array.isArray(content)) {
    if (content.length === 0) problems.push("with empty 'content'");
    if (!content.every((part) => isObject(part) && part.type === 'text' && typeof part.text === 'string')) {
      problems.push('with \'content\' parts that are not {"type": "text", "text": …}; only text can be trained on');
    }
  } else if (content !== null && content !== undefined) {
    problems.push("with 'content' that is neither text nor a list of parts");
  } else if (calls.length === 0) {
    problems.push("without 'content'");
  }
  return problems;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
