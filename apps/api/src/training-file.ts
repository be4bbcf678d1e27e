import { createHash } from 'node:crypto';
import type { FileRecord } from '@polymode/db';
import type { Storage } from '@polymode/storage';
import type { Grader } from '@polymode/verifiers';
import { badRequest } from './errors.js';
import { JsonLinesReader, LineProblems } from './json-lines.js';

export type FileRole = 'training_file' | 'validation_file';

const MAX_ROWS: Record<FileRole, number> = { training_file: 50_000, validation_file: 1_000 };
const ROLES = ['system', 'developer', 'user', 'assistant', 'tool'];
const MESSAGE_KEYS = ['role', 'content', 'name', 'tool_calls', 'tool_call_id', 'function_call', 'weight'];

export interface CheckedFile {
  rows: number;
  /** Digest of each distinct row's bytes, to find rows that two files share. */
  digests: Set<string>;
}

/**
 * Reads a file of reinforcement rows and checks each: `messages` that end with the user's, and every field that the grader
 * reads.
 *
 * @throws ApiError 400 with code `invalid_training_file` (or `invalid_validation_file`) that lists the wrong lines, or
 *   `invalid_n_examples` when there are none or too many
 */
export async function checkReinforcementFile(
  storage: Storage,
  file: FileRecord,
  role: FileRole,
  grader: Grader,
): Promise<CheckedFile> {
  const reader = new JsonLinesReader();
  const problems = new LineProblems();
  const digests = new Set<string>();
  let rows = 0;
  const check = (lines: ReturnType<JsonLinesReader['push']>) => {
    for (const line of lines) {
      rows++;
      if ('problem' in line) {
        problems.add(line.line, line.problem);
        continue;
      }
      for (const problem of rowProblems(line.object, grader)) problems.add(line.line, problem);
      digests.add(createHash('sha256').update(line.bytes).digest('base64'));
    }
  };
  for await (const piece of await storage.get(file.storageKey)) check(reader.push(piece));
  check(reader.finish());

  const label = role === 'training_file' ? 'Training file' : 'Validation file';
  if (problems.count > 0) {
    throw badRequest(`${label} ${file.id} has ${problems}`, role, `invalid_${role}`);
  }
  if (rows === 0) {
    throw badRequest(`${label} has 0 example(s), but must have at least 1 example`, role, 'invalid_n_examples');
  }
  if (rows > MAX_ROWS[role]) {
    const message = `${label} has ${rows} example(s), but may have at most ${MAX_ROWS[role]} examples`;
    throw badRequest(message, role, 'invalid_n_examples');
  }
  return { rows, digests };
}

/** What is wrong with one row, each to follow the words "Line 3". */
export function rowProblems(row: Record<string, unknown>, grader: Pick<Grader, 'checkItem'>): string[] {
  const { messages, tools, ...item } = row;
  const problems = conversationProblems(messages);
  if (tools !== undefined && !Array.isArray(tools)) problems.push("has 'tools' that are not a list");
  for (const { path, message } of grader.checkItem(item)) {
    const said = message.replace(/\.$/, '');
    problems.push(`cannot be graded: ${said.includes(path) ? said : `${path}: ${said}`}`);
  }
  return problems;
}

function conversationProblems(messages: unknown): string[] {
  if (messages === undefined) return ["has no 'messages'; expected a list of chat messages that ends with the user's"];
  if (!Array.isArray(messages)) return ["has 'messages' that are not a list"];
  if (messages.length === 0) return ["has empty 'messages'; expected at least one user message"];
  const problems: string[] = [];
  const toolCalls = new Set<unknown>();
  for (const [index, message] of messages.entries()) {
    for (const problem of messageProblems(message, toolCalls)) problems.push(`has messages[${index}] ${problem}`);
  }
  const last: unknown = messages.at(-1);
  if (problems.length === 0 && isObject(last) && last.role !== 'user') {
    problems.push(`ends with a message of role '${last.role}'; the last message must be from 'user'`);
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
