/** A tool call in the form of chat completions. */
export interface ToolCall {
  readonly id: string;
  readonly type: 'function';
  /** `arguments` is JSON */
  readonly function: { readonly name: string; readonly arguments: string };
}

const OPEN = '<tool_call>';
const CLOSE = '</tool_call>';

/**
 * The tool calls in an answer as Qwen's and Hermes' chat templates have models write them:
 * `<tool_call>{"name": …, "arguments": {…}}</tool_call>`. What is not well formed is no call and stays in the text.
 *
 * @returns the calls, and the text around them
 */
export function readToolCalls(text: string): { readonly calls: readonly ToolCall[]; readonly rest: string } {
  const calls: ToolCall[] = [];
  let rest = '';
  let at = 0;
  for (let open = text.indexOf(OPEN); open >= 0; open = text.indexOf(OPEN, at)) {
    const close = text.indexOf(CLOSE, open);
    if (close < 0) break;
    const called = readCall(text.slice(open + OPEN.length, close));
    const end = close + CLOSE.length;
    rest += text.slice(at, called === null ? end : open);
    if (called !== null) calls.push({ id: `call_${calls.length}`, type: 'function', function: called });
    at = end;
  }
  return { calls, rest: calls.length === 0 ? text : (rest + text.slice(at)).trim() };
}

function readCall(json: string): ToolCall['function'] | null {
  try {
    const { name, arguments: given = {} } = JSON.parse(json) as { name?: unknown; arguments?: unknown };
    if (typeof name !== 'string' || typeof given !== 'object' || given === null) return null;
    return { name, arguments: JSON.stringify(given) };
  } catch {
    return null;
  }
}
