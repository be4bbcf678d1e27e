/**
 * What is wrong with one row of a training file, each to follow the words "Line 3". Each method's check is given what finds
 * tokens of the job's base model, which texts must not hold.
 */
import type { Grader } from '@polymode/verifiers';
import type { TokenFinder } from './special-tokens.js';
import { Calls, conversationProblems, isObject, messageProblems, toolProblems } from './training-messages.js';

export type Row = Record<string, unknown>;
export type RowCheck = (row: Row, find: TokenFinder) => string[];

/** `messages` that end with the user's, and every field that the grader reads. */
export function reinforcementRows(grader: Pick<Grader, 'checkItem'>): RowCheck {
  return (row, find) => {
    const { messages, tools } = row;
    const problems = [...conversationProblems(messages, 'user', find), ...toolProblems({ tools }, find)];
    for (const { path, message } of grader.checkItem(row)) {
      const said = message.replace(/\.$/, '');
      problems.push(`cannot be graded: ${said.includes(path) ? said : `${path}: ${said}`}`);
    }
    return problems;
  };
}

const SUPERVISED_KEYS = ['messages', 'tools', 'parallel_tool_calls', 'functions'];

/** A conversation with an answer to learn, or a prompt and its completion. */
export const supervisedRows: RowCheck = (row, find) => {
  if ('prompt' in row || 'completion' in row) return textProblems(row, find);
  const { messages } = row;
  const problems = [
    ...conversationProblems(messages, null, find),
    ...unknownKeys(row, SUPERVISED_KEYS),
    ...toolProblems(row, find),
  ];
  if (row.tools != null && row.functions != null) problems.push("has 'tools' and 'functions', which mean the same");
  if (problems.length > 0) return problems;
  const answers = (messages as Row[]).filter((m) => m.role === 'assistant' && m.weight !== 0);
  return answers.length > 0 ? [] : ["has no message of role 'assistant' to learn from (of weight other than 0)"];
};

function textProblems(row: Row, find: TokenFinder): string[] {
  const { prompt, completion } = row;
  const problems = [
    ...(typeof prompt === 'string' ? [] : ["has no 'prompt' that is a string"]),
    ...(typeof completion === 'string' && completion !== '' ? [] : ["has no 'completion' that is a text"]),
    ...unknownKeys(row, ['prompt', 'completion']),
  ];
  for (const [name, text] of Object.entries({ prompt, completion })) {
    const token = typeof text === 'string' ? find(text) : null;
    if (token !== null) problems.push(`has a '${name}' that contains an invalid token: ${token}`);
  }
  return problems;
}

/** A conversation, an answer to prefer, and one to prefer it to. */
export const preferenceRows: RowCheck = (row, find) => {
  const { input } = row;
  const problems = unknownKeys(row, ['input', 'preferred_output', 'non_preferred_output']);
  if (isObject(input)) {
    const { messages, tools, parallel_tool_calls } = input;
    problems.push(...conversationProblems(messages, null, find), ...toolProblems({ tools, parallel_tool_calls }, find));
  } else {
    problems.push("has no 'input' with the conversation's 'messages'");
  }
  for (const name of ['preferred_output', 'non_preferred_output']) {
    const output = row[name];
    if (!Array.isArray(output) || output.length !== 1) {
      problems.push(`has no '${name}' that is a list of one message`);
      continue;
    }
    for (const problem of messageProblems(output[0], new Calls(), find)) problems.push(`has ${name}[0] ${problem}`);
    const [answer] = output as [unknown];
    if (isObject(answer) && answer.role !== undefined && answer.role !== 'assistant') {
      problems.push(`has ${name}[0] of role '${answer.role}'; expected 'assistant'`);
    }
  }
  return problems;
};

function unknownKeys(row: Row, known: readonly string[]): string[] {
  return Object.keys(row)
    .filter((key) => !known.includes(key))
    .map((key) => `has unknown key '${key}'; expected ${known.join(', ')}`);
}
